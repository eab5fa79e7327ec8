package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// T is what a Cluster needs of the *testing.T, *testing.B or program that it
// is made for.
type T interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
}

const (
	// patience bounds every wait for a cluster.
	patience = time.Minute
	pause    = 20 * time.Millisecond // between two looks
)

// Cluster is a number of Consul servers that know each other. Its methods fail
// the test that they were made for. They are not to be called concurrently.
type Cluster struct {
	t       T
	starter *starter
	client  *http.Client
	servers []Server
	running []*process // nil where a server is dead
	paused  []bool
}

// Start starts a cluster of n servers and waits until it has a leader and all
// of them take part.
func Start(t T, n int) *Cluster {
	t.Helper()
	return StartWith(t, n, nil)
}

// StartWith is Start with further settings in the servers' configuration, such
// as {"acl": ...}.
func StartWith(t T, n int, extra map[string]any) *Cluster {
	t.Helper()
	binary, err := Binary()
	if err != nil {
		t.Fatalf("%v", err)
	}
	c := &Cluster{
		t: t, starter: newStarter(binary), paused: make([]bool, n), running: make([]*process, n),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second},
	}
	dir := t.TempDir()
	t.Cleanup(c.close)
	addresses, err := freeAddresses(n)
	if err != nil {
		t.Fatalf("find addresses for Consul: %v", err)
	}
	for i, address := range addresses {
		name := "server-" + strconv.Itoa(i)
		c.servers = append(c.servers, Server{
			Name: name, Address: address, Dir: filepath.Join(dir, name), Expect: n, Join: addresses, Extra: maps.Clone(extra),
		})
	}
	for i := range n {
		c.start(i)
	}
	c.wait(fmt.Sprintf("%d servers with a leader", n), func(ctx context.Context) bool { return c.complete(ctx) })
	return c
}

// Addresses returns host:port of every server's API.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, s := range c.servers {
		out = append(out, s.HTTP())
	}
	return out
}

// Leader waits for a leader that can commit and returns which server it is.
func (c *Cluster) Leader() int {
	c.t.Helper()
	leader := -1
	c.wait("a leader", func(ctx context.Context) bool {
		leader = c.leader(ctx)
		return leader >= 0
	})
	return leader
}

// Kill kills a server as kill -9 does and waits for its end.
func (c *Cluster) Kill(i int) {
	if p := c.running[i]; p != nil {
		p.kill()
		c.running[i], c.paused[i] = nil, false
	}
}

// Restart starts a server that was killed again, with the data that it had. It
// does not wait for it to serve: see Leader.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	c.Kill(i)
	c.start(i)
}

// Stop pauses a server: its connections stay, and nobody answers. It returns
// when the last of its threads has stopped.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	c.signal(i, syscall.SIGSTOP)
	c.paused[i] = true
	c.wait(c.servers[i].Name+" to stop", func(context.Context) bool { return c.running[i].stopped() })
}

// Cont lets a server that was paused go on.
func (c *Cluster) Cont(i int) {
	c.t.Helper()
	c.signal(i, syscall.SIGCONT)
	c.paused[i] = false
}

func (c *Cluster) signal(i int, s syscall.Signal) {
	c.t.Helper()
	if c.running[i] == nil {
		c.t.Fatalf("%s is not running", c.servers[i].Name)
	}
	if err := c.running[i].cmd.Process.Signal(s); err != nil {
		c.t.Fatalf("signal %s: %v", c.servers[i].Name, err)
	}
}

func (c *Cluster) start(i int) {
	c.t.Helper()
	args, err := c.servers[i].Args()
	if err != nil {
		c.t.Fatalf("%v", err)
	}
	c.running[i], err = c.starter.start(c.log(i), args)
	if err != nil {
		c.t.Fatalf("start %s: %v", c.servers[i].Name, err)
	}
}

func (c *Cluster) log(i int) string { return filepath.Join(c.servers[i].Dir, "log") }

// close kills all servers, and shows what they said where the test failed.
func (c *Cluster) close() {
	for i := range c.running {
		c.Kill(i)
	}
	c.starter.close()
	if !c.t.Failed() {
		return
	}
	for i, s := range c.servers {
		c.t.Logf("%s said last:\n%s", s.Name, tail(c.log(i)))
	}
}

// wait looks until a condition holds.
func (c *Cluster) wait(what string, holds func(context.Context) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), patience, errors.New("waited in vain for "+what))
	defer cancel()
	for !holds(ctx) {
		for i, p := range c.running {
			if p != nil && p.ended() {
				c.t.Fatalf("%s ended: %v", c.servers[i].Name, p.err)
			}
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("Consul: %v", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// leader returns which server leads and can commit, -1 if none.
func (c *Cluster) leader(ctx context.Context) int {
	for i, p := range c.running {
		if p == nil || c.paused[i] {
			continue
		}
		var rpc string
		if err := c.get(ctx, i, "/v1/status/leader", &rpc); err != nil || rpc != net.JoinHostPort(c.servers[i].Address, strconv.Itoa(serverPort)) {
			continue
		}
		// A consistent read fails where a leader has lost the others.
		if err := c.get(ctx, i, "/v1/kv/?keys&consistent", &[]string{}); err == nil {
			return i
		}
	}
	return -1
}

// complete reports whether all servers vote and know a leader.
func (c *Cluster) complete(ctx context.Context) bool {
	if c.leader(ctx) < 0 {
		return false
	}
	for i := range c.servers {
		var raft struct{ Servers []struct{ Voter bool } }
		if err := c.get(ctx, i, "/v1/operator/raft/configuration?stale", &raft); err != nil || len(raft.Servers) != len(c.servers) {
			return false
		}
		for _, s := range raft.Servers {
			if !s.Voter {
				return false
			}
		}
	}
	return true
}

func (c *Cluster) get(ctx context.Context, i int, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.servers[i].HTTP()+path, http.NoBody)
	if err != nil {
		return err
	}
	if token, ok := c.servers[i].managementToken(); ok {
		req.Header.Set("X-Consul-Token", token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, resp.Body)
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// managementToken returns the token that the server's settings grant everything to.
func (s Server) managementToken() (string, bool) {
	acl, _ := s.Extra["acl"].(map[string]any)
	tokens, _ := acl["tokens"].(map[string]any)
	token, ok := tokens["initial_management"].(string)
	return token, ok
}

// freeAddresses finds loopback addresses on which nobody serves. Addresses of
// their own keep the servers' ports free while they are dead: on 127.0.0.1
// they could be taken by any connection.
func freeAddresses(n int) ([]string, error) {
	var tries error
	for range 20 {
		net := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(256))
		var out []string
		var err error
		for i := range n {
			out = append(out, net+strconv.Itoa(i+1))
			err = errors.Join(err, free(out[i]))
		}
		if err == nil {
			return out, nil
		}
		tries = errors.Join(tries, err)
	}
	return nil, tries
}

func free(address string) error {
	for _, port := range []int{HTTPPort, serverPort, serfPort} {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		_ = l.Close()
	}
	return nil
}
