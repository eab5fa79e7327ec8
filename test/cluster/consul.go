package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/test/consul"
	"github.com/flocker-mesos/flocker/test/lab"
)

// LogPrefix is the folder of the cluster's log in Consul.
const LogPrefix = "flocker"

const (
	consulTool = "consul"
	consulDir  = "/var/lib/consul"
	// consulPatience is how long a server is asked for the leader.
	consulPatience = 2 * time.Second
)

// Consul is the machine of a Consul server.
type Consul struct {
	*lab.Host
	Process *lab.Process // nil while it does not run

	server consul.Server
	args   []string
	client *http.Client
}

// addConsul makes the machines of Consul servers that know each other.
func (c *Cluster) addConsul(ctx context.Context, n int) error {
	var addresses []string
	for i := range n {
		host, err := c.Lab.Host(ctx, fmt.Sprintf("consul%d", i+1))
		if err != nil {
			return err
		}
		addresses = append(addresses, host.Address)
		c.Consul = append(c.Consul, &Consul{Host: host, client: &http.Client{
			Timeout: consulPatience, Transport: &http.Transport{DialContext: host.Dial, DisableKeepAlives: true},
		}})
	}
	for _, s := range c.Consul {
		s.server = consul.Server{
			Name: s.Name, Address: s.Address, Dir: s.Path(consulDir), Expect: n, Join: addresses,
			Extra: map[string]any{"data_dir": consulDir + "/data"},
		}
		if _, err := s.server.Args(); err != nil {
			return err
		}
		// As the host itself calls what the lab has written.
		s.args = []string{lab.ToolsDir + "/" + consulTool, "agent", "-config-file=" + consulDir + "/consul.json"}
	}
	return nil
}

func (c *Cluster) consulAddresses() []string {
	var all []string
	for _, s := range c.Consul {
		all = append(all, s.server.HTTP())
	}
	return all
}

// Start starts the server and does not wait for it.
func (s *Consul) Start() (err error) {
	s.Process, err = s.Host.Start(lab.Daemon{Name: "consul", Args: s.args})
	return err
}

// errNoLeader is returned by Leader.
var errNoLeader = errors.New("no Consul server leads and can commit")

// Leader returns the server that leads and can commit.
func (c *Cluster) Leader(ctx context.Context) (*Consul, error) {
	var errs []error
	for _, s := range c.Consul {
		err := s.leads(ctx)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
	}
	return nil, errors.Join(append(errs, errNoLeader)...)
}

func (s *Consul) leads(ctx context.Context) error {
	text, err := s.get(ctx, "/v1/status/leader")
	if err != nil {
		return err
	}
	var rpc string
	if err := json.Unmarshal(text, &rpc); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(rpc); host != s.Address {
		return fmt.Errorf("it takes %q for the leader", rpc)
	}
	// A consistent read fails where a leader has lost the others.
	_, err = s.get(ctx, "/v1/kv/?keys&consistent")
	return err
}

// get asks the server for a path of its API. What is not there is empty.
func (s *Consul) get(ctx context.Context, path string) ([]byte, error) {
	return s.call(ctx, http.MethodGet, path, "")
}

func (s *Consul) call(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.server.HTTP()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound && strings.HasPrefix(path, "/v1/kv/") {
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, strings.TrimSpace(string(text)))
	}
	return text, nil
}

// AwaitLeader waits until the servers have a leader and all of them that run
// know it. It returns at once where there are none.
func (c *Cluster) AwaitLeader(ctx context.Context) error {
	if len(c.Consul) == 0 {
		return nil
	}
	return lab.Until(ctx, "Consul has a leader", func() error {
		if _, err := c.Leader(ctx); err != nil {
			return err
		}
		for _, s := range c.Consul {
			if s.Process == nil || !s.Process.Running() || s.Process.Frozen() {
				continue
			}
			if _, err := s.get(ctx, "/v1/kv/?keys"); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		return nil
	})
}

// Pair is a key in Consul and its value.
type Pair struct {
	Key   string
	Value []byte
}

// Log reads what the log has below a folder such as records/datasets/, all as
// of one moment between the call and its return. It fails where Consul has no
// majority.
func (c *Cluster) Log(ctx context.Context, folder string) ([]Pair, error) {
	var errs []error
	for _, s := range c.Consul {
		text, err := s.get(ctx, "/v1/kv/"+LogPrefix+"/"+folder+"?recurse&consistent")
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s of %s: %w", folder, s.Name, err))
			continue
		}
		var pairs []Pair
		if len(text) > 0 {
			err = json.Unmarshal(text, &pairs)
		}
		return pairs, err
	}
	return nil, errors.Join(errs...)
}

// WipeLog removes the log, as an operator does who mistakes it for another.
func (c *Cluster) WipeLog(ctx context.Context) error {
	return c.RemoveKeys(ctx, LogPrefix+"/")
}

// RemoveKeys removes all keys in Consul that begin with a prefix, as does
// `consul kv delete -recurse PREFIX`.
func (c *Cluster) RemoveKeys(ctx context.Context, prefix string) error {
	s, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, http.MethodDelete, "/v1/kv/"+prefix+"?recurse", ""); err != nil {
		return fmt.Errorf("remove keys: %w", err)
	}
	return nil
}

// PutKey sets a key in Consul, as `consul kv put` does. A key without a value is
// removed.
func (c *Cluster) PutKey(ctx context.Context, key, value string) error {
	s, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	method := http.MethodPut
	if value == "" {
		method = http.MethodDelete
	}
	if _, err := s.call(ctx, method, "/v1/kv/"+key, value); err != nil {
		return fmt.Errorf("put key: %w", err)
	}
	return nil
}
