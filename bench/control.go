package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/lab"
)

// control is one replica of the control service, the program as users have it.
type control struct {
	certs                  *certificates
	users, agents, metrics string // host:port
	program, config, log   string
	launcher               *launcher
	process                *process
}

// newControl writes the settings of a replica, and starts it.
func newControl(s settings, dir string, certs *certificates, store string, more ...string) (*control, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program, err := filepath.Abs(filepath.Join(s.bin, "flocker"))
	if err != nil {
		return nil, err
	}
	ports, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	c := &control{
		launcher: s.launcher, certs: certs, users: ports[0], agents: ports[1], metrics: ports[2],
		program: program, config: filepath.Join(dir, "control.yml"), log: filepath.Join(dir, "control.log"),
	}
	lines := append([]string{
		"listen: " + c.users, "agent-listen: " + c.agents, "metrics-listen: " + c.metrics,
		"certificates: " + certs.dir, "store: " + store,
	}, more...)
	if err := os.WriteFile(c.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return c, c.start()
}

// launch starts the replica and does not wait for it.
func (c *control) launch() (err error) {
	c.process, err = c.launcher.start(c.log, c.program, "control", "--config", c.config)
	return err
}

// start starts the replica and waits until it serves.
func (c *control) start() error {
	if err := c.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return lab.Until(ctx, "the control service serves", func() error {
		select {
		case <-c.process.done:
			return fmt.Errorf("it has ended: %w\n%s", c.process.err, c.process.lastWords())
		default:
		}
		resp, err := http.Get("http://" + c.metrics + "/health")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// user returns a client of the replica alone.
func (c *control) user() (*client.Client, error) { return newUser(c.certs, c.users) }

// newUser returns a client of replicas.
func newUser(certs *certificates, endpoints ...string) (*client.Client, error) {
	tls, err := certs.userTLS()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Endpoints: endpoints, TLS: tls})
}

// metric returns the value of a metric without labels.
func (c *control) metric(name string) (float64, error) {
	resp, err := http.Get("http://" + c.metrics + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// loopbackHost returns an address of this machine that this process has for
// itself. On 127.0.0.1 a port that is given up, until it is listened on or
// while its server is dead, can become any connection's.
func loopbackHost() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.1", 1+pid/250%250, 1+pid%250)
}

// freeAddresses finds addresses on which nobody listens.
func freeAddresses(n int) (out []string, err error) {
	var all []net.Listener
	for range n {
		l, err := net.Listen("tcp", loopbackHost()+":0")
		if err != nil {
			return nil, err
		}
		all, out = append(all, l), append(out, l.Addr().String())
	}
	for _, l := range all { // not before, so that they differ
		err = errors.Join(err, l.Close())
	}
	return out, err
}

// patiently returns a context for what has failed when it takes longer than
// patience.
func patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("not done within %s", patience))
}
