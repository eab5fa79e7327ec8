package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/consulaccess"
	"github.com/flocker-mesos/flocker/control/store"
)

const (
	// dialTimeout bounds how long one address is tried.
	dialTimeout = 2 * time.Second
	// requestTimeout bounds every request but those below. It is shorter than a
	// Consul server waits for a leader (7 s), so that a replica with several
	// addresses soon tries the next.
	requestTimeout = 5 * time.Second
	loadTimeout    = 30 * time.Second
	// waitTime is how long Consul lets a request wait for a change of head. It
	// adds a sixteenth of it at random. An answer that is late by more than
	// lateness will not come: Consul is stopped, or a cable is cut.
	waitTime = 5 * time.Second
	lateness = 3 * time.Second

	// maxConnections is how many connections there are at most; Consul allows
	// 200 from one machine. One of them waits for changes.
	maxConnections = 6

	maxErrorText = 1 << 10
)

// client talks to Consul, at one of several addresses.
type client struct {
	api       *api.Client
	transport *http.Transport
	base      http.RoundTripper // transport, with a token that is kept fresh
	plain     []string          // addresses of other machines that are called without TLS
	addresses []string          // none where the request's own is used
	current   atomic.Uint64
}

func newClient(s Settings) (*client, error) {
	cfg := api.DefaultConfig()
	c := &client{transport: cfg.Transport, addresses: s.Addresses}
	if path, ok := strings.CutPrefix(cfg.Address, "unix://"); ok && len(c.addresses) == 0 {
		// The library would put a client of its own in place of ours.
		c.addresses, cfg.Address = []string{"/" + strings.TrimLeft(path, "/")}, "localhost"
	}
	s.override(cfg)
	if err := consulaccess.CheckFiles(cfg.TokenFile, cfg.TLSConfig.CAFile, cfg.TLSConfig.CertFile, cfg.TLSConfig.KeyFile); err != nil {
		return nil, err
	}
	c.transport.DialContext = c.dial
	c.transport.MaxConnsPerHost = maxConnections
	c.transport.MaxIdleConnsPerHost = maxConnections
	// Consul is on this machine or near it: compressing costs more than it spares.
	c.transport.DisableCompression = true
	httpClient, err := api.NewHttpClient(c.transport, cfg.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("read TLS settings for Consul: %w", err)
	}
	c.base = c.transport
	if cfg.TokenFile != "" {
		c.base = &consulaccess.Transport{Base: c.transport, File: cfg.TokenFile}
	}
	if c.plain = consulaccess.Plain(cfg.Scheme == "https", c.addresses...); len(c.addresses) == 0 {
		c.plain = consulaccess.Plain(cfg.Scheme == "https", cfg.Address)
	}
	if certs := c.transport.TLSClientConfig; certs != nil && cfg.TLSConfig.CertFile != "" {
		cert, key := cfg.TLSConfig.CertFile, cfg.TLSConfig.KeyFile
		certs.Certificates = nil
		certs.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // it may have been renewed
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
	}
	httpClient.Transport = checked{c}
	cfg.HttpClient = httpClient
	if c.api, err = api.NewClient(cfg); err != nil {
		return nil, fmt.Errorf("read settings for Consul: %w", err)
	}
	return c, nil
}

// override puts what s says over what the environment says.
func (s Settings) override(cfg *api.Config) {
	if len(s.Addresses) > 0 {
		cfg.Address = s.Addresses[0]
	}
	for _, o := range []struct {
		value string
		field *string
	}{
		{s.Datacenter, &cfg.Datacenter},
		{s.TokenFile, &cfg.TokenFile},
		{s.CAFile, &cfg.TLSConfig.CAFile},
		{s.CertFile, &cfg.TLSConfig.CertFile},
		{s.KeyFile, &cfg.TLSConfig.KeyFile},
		{s.TLSServerName, &cfg.TLSConfig.Address},
	} {
		if o.value != "" {
			*o.field = o.value
		}
	}
	if s.TLS {
		cfg.Scheme = "https"
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// dial connects to the address in use or, failing that, to the next.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	if len(c.addresses) == 0 {
		return d.DialContext(ctx, network, address)
	}
	var failures error
	for range c.addresses {
		current := c.current.Load()
		address := c.addresses[current%uint64(len(c.addresses))]
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		failures = errors.Join(failures, err)
		if ctx.Err() != nil {
			break
		}
		c.leave(current)
	}
	return nil, failures
}

// leave makes the next address the one in use, unless it already is.
func (c *client) leave(current uint64) {
	if len(c.addresses) > 1 && c.current.CompareAndSwap(current, current+1) {
		c.transport.CloseIdleConnections()
	}
}

// statusError is an answer of Consul that is none of those expected.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("answer %d of Consul: %s", e.code, e.text) }

// Temporary reports whether Consul may answer otherwise soon: it has no leader, or is busy.
func (e *statusError) Temporary() bool {
	return e.code >= http.StatusInternalServerError || e.code == http.StatusTooManyRequests
}

// refused reports whether a request was turned away before Consul decided on it.
func (e *statusError) refused() bool {
	switch e.code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return true
	}
	return false
}

// checked is the client's transport. It makes an error of what Consul answers
// when it has not done what it was asked for: the library keeps only the text.
type checked struct{ *client }

func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	current := c.current.Load()
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		if !errors.Is(context.Cause(req.Context()), context.Canceled) {
			c.leave(current)
		}
		return nil, err
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK,
		code == http.StatusConflict, // a transaction was refused
		code == http.StatusNotFound && req.Method == http.MethodGet:
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	if err != nil {
		text = fmt.Appendf(text, " (%v)", err)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		c.leave(current)
	}
	return nil, &statusError{code: resp.StatusCode, text: strings.TrimSpace(string(text))}
}

// errSilent is that Consul does not answer in time. It is no deadline of the
// caller's, and must not look like one.
var errSilent error = silence{}

type silence struct{}

func (silence) Error() string { return "no answer from Consul" }
func (silence) Timeout() bool { return true }

// within bounds a request. The request's error must go through silent.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errSilent)
}

// silent makes errSilent of the error of a request that was given up.
func silent(ctx context.Context, d time.Duration, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("%w within %s", errSilent, d)
	}
	return err
}

// write runs a transaction. Ok is false if it was refused, for the reasons in
// refusals. An error is a store.ErrUncertain where the transaction may have
// been done, or may still be.
func (c *client) write(ctx context.Context, ops api.TxnOps) (results api.TxnResults, refusals api.TxnErrors, ok bool, err error) {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}
	ctx, cancel := within(httptrace.WithClientTrace(ctx, trace), requestTimeout)
	defer cancel()
	ok, resp, _, err := c.api.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err == nil {
		return resp.Results, resp.Errors, ok, nil
	}
	err = silent(ctx, requestTimeout, err)
	status, answered := errors.AsType[*statusError](err)
	switch {
	case !sent.Load():
	case answered && status.code == http.StatusRequestEntityTooLarge:
		err = fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	case answered && status.refused():
	default:
		err = fmt.Errorf("%w: %w", store.ErrUncertain, err)
	}
	return nil, nil, false, err
}

// read reads keys as of one moment. What does not exist has no value and no
// index; what we may not read is missing. Current asks for what is committed
// when it is called; else it may be what was committed shortly before.
func (c *client) read(ctx context.Context, d time.Duration, ops api.TxnOps, current bool) ([]*api.KVPair, error) {
	ctx, cancel := within(ctx, d)
	defer cancel()
	ok, resp, _, err := c.api.Txn().Txn(ops, (&api.QueryOptions{RequireConsistent: current}).WithContext(ctx))
	if err != nil {
		return nil, silent(ctx, d, err)
	}
	if !ok {
		return nil, refused(resp.Errors)
	}
	pairs := make([]*api.KVPair, 0, len(resp.Results))
	for _, r := range resp.Results {
		if r.KV != nil {
			pairs = append(pairs, r.KV)
		}
	}
	return pairs, nil
}

// wait waits until a key has another index than the given one, or for a while,
// and returns what it is then, nil if there is none.
func (c *client) wait(ctx context.Context, key string, index uint64) (pair *api.KVPair, next uint64, err error) {
	const d = waitTime + waitTime/16 + lateness
	ctx, cancel := within(ctx, d)
	defer cancel()
	// Without an index Consul answers at once.
	q := &api.QueryOptions{WaitIndex: max(index, 1), WaitTime: waitTime}
	pair, meta, err := c.api.KV().Get(key, q.WithContext(ctx))
	if err != nil {
		return nil, 0, silent(ctx, d, err)
	}
	if meta.LastIndex < index {
		return pair, 0, nil // Consul was restored from a backup: as its documentation wants it
	}
	return pair, meta.LastIndex, nil
}

// refused says why a transaction was refused.
func refused(errs api.TxnErrors) error {
	var texts []string
	for _, e := range errs {
		texts = append(texts, e.What)
	}
	return fmt.Errorf("refused by Consul: %s", strings.Join(texts, "; "))
}

func set(key string, value []byte) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: key, Value: value}}
}

// put sets a record, sealed with its digest: by that it can be told from what
// other programs put under its key.
func put(key string, value []byte, d digest) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVSet, Key: key, Value: value, Flags: seal(d)}}
}

func compareAndSet(key string, value []byte, index uint64) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: value, Index: index}}
}

func remove(key string) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDelete, Key: key}}
}

func get(key string) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetOrEmpty, Key: key}}
}

func getTree(folder string) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetTree, Key: folder}}
}
