package masters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/master/calls"
)

const (
	protobuf = "application/x-protobuf"

	connectTimeout = 5 * time.Second
	// headerTimeout is how long a master may take to begin its answer.
	headerTimeout = 30 * time.Second
	// maxHops bounds how often one call is sent on. A master that does not lead
	// knows who does, unless that changes right then.
	maxHops = 4
	// maxRefusal bounds what is read of an answer that is no success.
	maxRefusal = 1 << 10
)

// Client calls the leading master, whichever that is. Any number of goroutines
// may use it.
type Client struct {
	options Options
	bases   []*url.URL
	http    *http.Client

	mu     sync.Mutex
	leader *url.URL // who answered last, nil for nobody yet
}

// New checks the options. It does not call a master yet.
func New(o Options) (*Client, error) {
	bases, err := o.complete()
	if err != nil {
		return nil, err
	}
	return &Client{options: o, bases: bases, http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:       o.TLS,
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       time.Minute,
			// Lengths and bounds are those of what is sent.
			DisableCompression: true,
		},
		// A redirection is followed here, with the credentials, and never away
		// from TLS.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Leader returns the URL of the master that answered last, "" for none.
func (c *Client) Leader() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil {
		return ""
	}
	return c.leader.String()
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Agents lists the agents that the leading master knows.
func (c *Client) Agents(ctx context.Context) (Listing, error) {
	r, err := c.ask(ctx, calls.GetAgents())
	if err == nil && r.GetAgents == nil {
		err = errors.New("the answer has no agents")
	}
	if err != nil {
		return Listing{}, fmt.Errorf("list agents of Mesos: %w", err)
	}
	return listingOf(r.GetAgents), nil
}

// Tasks lists the tasks that the leading master knows and that have not ended,
// and those that an operator has ended with their agent.
func (c *Client) Tasks(ctx context.Context) ([]Task, error) {
	r, err := c.ask(ctx, calls.GetTasks())
	if err == nil && r.GetTasks == nil {
		err = errors.New("the answer has no tasks")
	}
	if err != nil {
		return nil, fmt.Errorf("list tasks of Mesos: %w", err)
	}
	return tasksOf(r.GetTasks), nil
}

// ask sends a call and decodes the answer.
func (c *Client) ask(ctx context.Context, call *master.Call) (*master.Response, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the call: %w", err)
	}
	resp, err := c.send(ctx, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := readAll(resp.Body, c.options.MaxAnswer)
	if err != nil {
		return nil, err
	}
	r := new(master.Response)
	return r, decode(r, answer)
}

// readAll reads an answer, and fails where it is too long: a cut one must not
// look whole.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return data, nil
}

// decode decodes a message. The generated decoders of mesos-go panic on some
// damaged ones, which must not end the control service.
func decode(m interface{ Unmarshal(data []byte) error }, data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode the answer: %v", p)
		}
	}()
	if err := m.Unmarshal(data); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	return nil
}

// send has the leading master answer a call: whoever answered last, or whom any
// of the masters names. The answer is a success, and the caller closes it.
func (c *Client) send(ctx context.Context, call []byte) (*http.Response, error) {
	var failures []error
	// Followers name a dead leader for some seconds: it is called once.
	dead := map[url.URL]bool{}
	for _, base := range c.candidates() {
		resp, leader, err := c.follow(ctx, base, call, dead)
		if err == nil {
			c.setLeader(leader)
			return resp, nil
		}
		if refusal, ok := errors.AsType[*refusedError](err); ok && refusal.final() {
			return nil, err // every master would say the same
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failures = append(failures, err)
	}
	c.setLeader(nil)
	return nil, fmt.Errorf("no Mesos master leads: %w", errors.Join(failures...))
}

// candidates are the masters in the order in which they are asked.
func (c *Client) candidates() []*url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil {
		return c.bases
	}
	all := []*url.URL{c.leader}
	for _, b := range c.bases {
		if *b != *c.leader {
			all = append(all, b)
		}
	}
	return all
}

func (c *Client) setLeader(base *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = base
}

// follow sends a call to a master, and on to whom that one takes for the leader.
func (c *Client) follow(ctx context.Context, base *url.URL, call []byte, dead map[url.URL]bool) (*http.Response, *url.URL, error) {
	from := base
	for range maxHops {
		if dead[*base] {
			return nil, nil, fmt.Errorf("%s names the leader %s, which does not answer", from, base)
		}
		resp, err := c.once(ctx, base, http.MethodPost, "/api/v1", protobuf, call)
		if err != nil {
			dead[*base] = true
			return nil, nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			return resp, base, nil
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusFound, http.StatusMovedPermanently:
			_ = resp.Body.Close()
			if base, err = redirected(base, resp); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, refused(base, resp)
		}
	}
	return nil, nil, fmt.Errorf("%s: the masters send each other's callers on", base)
}

func (c *Client) once(ctx context.Context, base *url.URL, method, path, accept string, body []byte) (*http.Response, error) {
	u := *base
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", base, err)
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", accept)
	}
	if c.options.Username != "" {
		password, err := c.options.Password()
		if err != nil {
			return nil, fmt.Errorf("read the password of %s: %w", c.options.Username, err)
		}
		req.SetBasicAuth(c.options.Username, password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // which names the URL
		}
		return nil, fmt.Errorf("call %s: %w", base, err)
	}
	return resp, nil
}

// redirected returns the master that an answer points to. Mesos leaves the
// scheme out: //10.0.0.2:5050/api/v1.
func redirected(from *url.URL, resp *http.Response) (*url.URL, error) {
	to, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: it names no leader: %w", from, err)
	}
	if to.Scheme != from.Scheme && (from.Scheme == "https" || to.Scheme != "https") || to.Hostname() == "" {
		return nil, fmt.Errorf("%s: it names the leader %s, where the credentials would not be safe", from, to.Redacted())
	}
	base := &url.URL{Scheme: to.Scheme, Host: to.Host}
	if to.Host == from.Host {
		base.Path = from.Path // the same place, such as a proxy
	}
	return base, nil
}

// refusedError is what a master said instead of an answer.
type refusedError struct {
	base   *url.URL
	status int
	text   string
}

func refused(base *url.URL, resp *http.Response) error {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // as much of it as there is
	return &refusedError{base, resp.StatusCode, string(bytes.TrimSpace(text))}
}

func (e *refusedError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.base, e.status, http.StatusText(e.status))
	if e.text != "" {
		text += fmt.Sprintf(" (%q)", e.text)
	}
	return text
}

// final reports whether another master would refuse the caller as well.
func (e *refusedError) final() bool {
	return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden
}
