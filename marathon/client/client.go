package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Client speaks with the Marathons of one cluster. Any number of goroutines may
// use it.
type Client struct {
	cfg   Config
	urls  []*url.URL
	http  *http.Client
	creds credentials

	mu    sync.Mutex
	first int // of urls: the one that answered last
}

// Limits of connections.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 30 * time.Second
	idleTimeout   = 90 * time.Second
	// maxAnswer bounds an answer, in bytes. Ten thousand apps with their tasks
	// are some 40 MiB.
	maxAnswer = 256 << 20
)

// New makes a client. Nothing is asked before it is used.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Silence == 0 {
		cfg.Silence = DefaultSilence
	}
	tls, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig: tls, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: idleTimeout,
		},
		// Redirects are looked at before anything is sent after them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, text := range cfg.URLs {
		u, err := readURL(text)
		if err != nil {
			return nil, err
		}
		c.urls = append(c.urls, u)
	}
	c.creds, err = c.credentials()
	return c, err
}

// credentials chooses how to be known to Marathon.
func (c *Client) credentials() (credentials, error) {
	cfg := c.cfg
	switch {
	case cfg.TokenFile != "":
		return tokenFile(cfg.TokenFile), nil
	case cfg.User != "" && cfg.Login == "":
		return basic{cfg.User, cfg.PasswordFile}, nil
	case cfg.User == "" && cfg.ServiceAccountFile == "":
		return nobody{}, nil
	}
	at := *c.urls[0]
	at.Path = "/acs/api/v1/auth/login"
	l := &login{http: c.http, url: &at, request: password(cfg.User, cfg.PasswordFile)}
	if cfg.ServiceAccountFile != "" {
		if _, _, err := readServiceAccount(cfg.ServiceAccountFile); err != nil {
			return nil, err
		}
		l.request = signed(cfg.ServiceAccountFile, time.Now)
	}
	if cfg.Login != "" {
		u, err := readURL(cfg.Login)
		if err != nil {
			return nil, err
		}
		l.url = u
	}
	return l, nil
}

// Close gives up connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// order returns the URLs, the one that answered last first.
func (c *Client) order() []*url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.urls[c.first:], c.urls[:c.first])
}

// answered notes which URL has answered.
func (c *Client) answered(u *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = slices.Index(c.urls, u)
}

// call asks one Marathon after the other until one answers, and decodes the
// answer. What changes something is sent to another one only where it cannot have
// reached the first.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode %s %s: %w", method, path, err)
		}
	}
	var failures []error
	for _, u := range c.order() {
		err := c.callOne(ctx, u, method, path, text, into)
		if err == nil {
			c.answered(u)
			return nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil || !another(method, err) {
			break
		}
	}
	return errors.Join(failures...)
}

// another reports whether another Marathon may be asked after a failure.
func another(method string, err error) bool {
	if _, ok := errors.AsType[*Error](err); ok {
		return errors.Is(err, ErrUnavailable) && method == http.MethodGet
	}
	if method == http.MethodGet {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// callOne asks one Marathon.
func (c *Client) callOne(ctx context.Context, u *url.URL, method, path string, text []byte, into any) error {
	resp, err := c.send(ctx, method, u.String()+path, "application/json", text)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return c.refused(resp)
	}
	limited := &io.LimitedReader{R: resp.Body, N: maxAnswer}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(limited).Decode(into); err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("it has more than %d bytes", maxAnswer)
		}
		return fmt.Errorf("read answer of %s to %s %s: %w", u.Host, method, path, err)
	}
	return nil
}

// send sends a request, with credentials, and once more with others where these
// are not good any more.
func (c *Client) send(ctx context.Context, method, url, accept string, text []byte) (*http.Response, error) {
	refused := ""
	for {
		authorization, err := c.creds.header(ctx, refused)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
		req.Header.Set("Accept", accept)
		if len(text) > 0 {
			req.Header.Set("Content-Type", "application/json")
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized || refused != "" || authorization == "" {
			return resp, nil
		}
		_ = resp.Body.Close()
		refused = authorization
	}
}

// refused returns what an answer that is no success says.
func (c *Client) refused(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	at := resp.Request.URL.Scheme + "://" + resp.Request.URL.Host
	e := refusal(resp.StatusCode, at, text)
	if resp.StatusCode < 400 {
		e.Message = "it redirects to " + plain(resp.Header.Get("Location")) + ", where nothing is sent: give the URL that answers by itself"
	}
	return e
}

// escape writes an app's id as a path: /prod/db.
func escape(id string) string {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/" + strings.Join(parts, "/")
}
