package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

// Control is the machine of a replica of the control service.
type Control struct {
	*lab.Host
	Process *lab.Process // nil while it does not run

	cluster *Cluster
	client  *http.Client
}

const restPort = "4523"

// addControl makes one more replica. The first has the certificate authority.
func (c *Cluster) addControl(ctx context.Context, name string) error {
	host, err := c.Lab.Host(ctx, name)
	if err != nil {
		return err
	}
	r := &Control{Host: host, cluster: c}
	c.Controls = append(c.Controls, r)
	if len(c.Controls) > 1 {
		return r.install(ctx)
	}
	c.Control = r
	if err := os.MkdirAll(host.Path(c.ca), 0o700); err != nil {
		return err
	}
	if err := c.authority(ctx, "initialize", "lab"); err != nil {
		return err
	}
	if c.user, err = c.Issue(ctx, "create-api-certificate", User); err != nil {
		return err
	}
	return r.install(ctx)
}

func (c *Control) install(ctx context.Context) error {
	crt, err := c.cluster.Issue(ctx, "create-control-certificate", c.Address)
	if err != nil {
		return err
	}
	if err := c.cluster.Give(c.Host, crt, "control-service"); err != nil {
		return err
	}
	if err := c.cluster.Give(c.Host, c.cluster.user, User); err != nil {
		return err
	}
	if err := c.Become(c.cluster.user); err != nil {
		return err
	}
	return writeFile(c.Host, configDir+"/control.yml", settings(c.cluster.controlSettings()), 0o644)
}

// controlSettings are the same for all replicas.
func (c *Cluster) controlSettings() map[string]string {
	all := maps.Clone(c.opts.Control)
	if all == nil {
		all = map[string]string{}
	}
	if len(c.Consul) > 0 {
		all["store"] = "consul://" + strings.Join(c.consulAddresses(), ",") + "/" + LogPrefix
	}
	return all
}

// controlAddresses are those of all replicas, in an order that begins anew with
// another one for each node.
func (c *Cluster) controlAddresses(node int) []string {
	var all []string
	for i := range c.Controls {
		all = append(all, c.Controls[(node+i)%len(c.Controls)].Address)
	}
	if c.opts.OneReplica {
		return all[:1]
	}
	return all
}

// Become lets Call call with the identity of another certificate.
func (c *Control) Become(crt string) (err error) {
	c.client, err = c.newClient(crt)
	return err
}

// newClient makes a client that calls from the control host itself, with the
// identity of a certificate.
func (c *Control) newClient(crt string) (*http.Client, error) {
	config, err := c.cluster.clientTLS(crt)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: c.Dial, TLSClientConfig: config, DisableKeepAlives: true},
	}, nil
}

// UserClient makes a client that calls from a host as the user, over connections
// that it keeps.
func (c *Cluster) UserClient(from *lab.Host, timeout time.Duration) (*http.Client, error) {
	config, err := c.clientTLS(c.user)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: from.Dial, TLSClientConfig: config}}, nil
}

func (c *Cluster) clientTLS(crt string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(crt, strings.TrimSuffix(crt, ".crt")+".key")
	if err != nil {
		return nil, fmt.Errorf("read user certificate: %w", err)
	}
	authority, err := os.ReadFile(filepath.Join(filepath.Dir(crt), "cluster.crt"))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Start starts the control service with an environment of its own and waits
// until it answers.
func (c *Control) Start(ctx context.Context, env ...string) error {
	if err := c.Launch(env...); err != nil {
		return err
	}
	return c.AwaitReady(ctx)
}

// Launch starts the control service and does not wait for it.
func (c *Control) Launch(env ...string) error {
	p, err := c.Host.Start(lab.Daemon{
		Name: "control", Args: []string{"flocker", "control", "--config", configDir + "/control.yml"}, Env: env,
	})
	if err != nil {
		return err
	}
	c.Process = p
	return nil
}

// AwaitReady waits until the control service answers users.
func (c *Control) AwaitReady(ctx context.Context) error {
	return lab.Until(ctx, "the control service answers", func() error {
		if !c.Process.Running() {
			return fmt.Errorf("it has ended: %w\n%s", c.Process.Wait(ctx), c.Process.Output())
		}
		_, err := c.Call(ctx, http.MethodGet, "/v1/version", nil)
		return err
	})
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// StatusOf returns the HTTP status that an error of Call carries, 0 for none.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	return 0
}

// URL returns where the REST API has a path.
func (c *Control) URL(path string) string { return "https://" + c.Address + ":" + restPort + path }

// Call calls the REST API as the user.
func (c *Control) Call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL(path), payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %w", method, path, &statusError{resp.StatusCode, strings.TrimSpace(string(data))})
	}
	return data, nil
}

// Flocker runs the command line of flocker as the user, on the control host.
func (c *Control) Flocker(ctx context.Context, args ...string) (string, error) {
	return c.flocker(ctx, c.Address, args...)
}

// Flocker runs the command line of flocker as a user who knows all replicas, on
// the first one's host.
func (c *Cluster) Flocker(ctx context.Context, args ...string) (string, error) {
	return c.Control.flocker(ctx, strings.Join(c.controlAddresses(0), ","), args...)
}

func (c *Control) flocker(ctx context.Context, addresses string, args ...string) (string, error) {
	cmd := c.Command(ctx, "flocker", args...)
	cmd.Env = append(cmd.Env, "FLOCKER_CONTROL_SERVICE="+addresses, "FLOCKER_CERTS_PATH="+configDir, "FLOCKER_USER="+User)
	return cmd.Output()
}
