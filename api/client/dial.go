package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialTimeout bounds how long a connection to one endpoint may take, the
	// TLS handshake included.
	dialTimeout = 5 * time.Second
	// headStart is how long an endpoint has to answer before the next one is
	// tried beside it. It is far above the time that a handshake takes, and
	// what a replica costs whose machine just does not answer.
	headStart = 300 * time.Millisecond
)

// dialError says that an endpoint could not be connected to: it has not seen
// what it was to be sent.
type dialError struct {
	at  endpoint
	err error
}

func (e *dialError) Error() string { return fmt.Sprintf("connect to %s: %v", e.at, e.err) }

func (e *dialError) Unwrap() error { return e.err }

// neverConnected reports whether a request failed before there was a connection.
func neverConnected(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

// dial connects to an endpoint. All errors are *dialError.
func (c Config) dial(ctx context.Context, to endpoint) (_ *tls.Conn, err error) {
	defer func() {
		if err != nil {
			err = &dialError{to, err}
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("no connection within %s", dialTimeout))
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.address)
	if err != nil {
		return nil, explain(ctx, err)
	}
	rules := c.TLS.Clone()
	if rules.ServerName == "" {
		rules.ServerName = to.host()
	}
	// One connection of HTTP/2 takes a stream and any number of calls. An
	// original Flocker has only the older one.
	rules.NextProtos = []string{"h2", "http/1.1"}
	secure := tls.Client(conn, rules)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, explainRefusal(explain(ctx, err))
	}
	return secure, nil
}

// explain adds to an error why the context has ended, if it has.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// reach connects to the first of several endpoints that takes part in a
// handshake. Each has a head start before the next is tried beside it, and
// none when it fails. So one that is down costs nothing, one that is silent
// the head start, and a service that is slow as a whole is waited for.
func (c Config) reach(ctx context.Context, to []endpoint) (*tls.Conn, endpoint, error) {
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		conn *tls.Conn
		at   endpoint
		err  error
	}
	outcomes := make(chan outcome, len(to))
	var dials sync.WaitGroup
	defer func() { // who has lost the race
		cancel()
		dials.Wait()
		close(outcomes)
		for o := range outcomes {
			if o.conn != nil {
				_ = o.conn.Close()
			}
		}
	}()
	var failures []error
	next := time.NewTimer(headStart)
	defer next.Stop()
	for started := 0; len(failures) < len(to); {
		if started < len(to) {
			at := to[started]
			started++
			dials.Go(func() {
				conn, err := c.dial(ctx, at)
				outcomes <- outcome{conn, at, err}
			})
			next.Reset(headStart)
		}
		select {
		case o := <-outcomes:
			if o.err == nil {
				return o.conn, o.at, nil
			}
			failures = append(failures, o.err)
		case <-next.C:
		case <-ctx.Done():
			return nil, endpoint{}, fmt.Errorf("%w: %w", context.Cause(ctx), errors.Join(failures...))
		}
	}
	return nil, endpoint{}, errors.Join(failures...)
}

// channel is the way to one replica. Its first connection is there already;
// further ones are made as they are needed.
type channel struct {
	at    endpoint
	http  *http.Client
	first atomic.Pointer[tls.Conn] // until it is used

	verify func(tls.ConnectionState) error // nil where the handshake alone verifies
	shown  atomic.Pointer[tls.ConnectionState]
}

// check reports why the certificate no longer counts that the replica has shown when
// the connection was made: it has expired, or was revoked, or its authority is not
// trusted any more.
func (ch *channel) check() error {
	shown := ch.shown.Load()
	if shown == nil || ch.verify == nil {
		return nil
	}
	if err := ch.verify(*shown); err != nil {
		return fmt.Errorf("the certificate of the control service %s no longer counts: %w", ch.at, err)
	}
	return nil
}

func (ch *channel) uses(conn *tls.Conn) {
	state := conn.ConnectionState()
	ch.shown.Store(&state)
}

// channel makes a channel of a connection. Pings says how a connection is
// watched while an answer is awaited, nil for not at all.
func (c Config) channel(first *tls.Conn, at endpoint, pings *http.HTTP2Config) *channel {
	ch := &channel{at: at, verify: c.TLS.VerifyConnection}
	ch.first.Store(first)
	ch.uses(first)
	ch.http = &http.Client{Transport: &admission{next: &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if conn := ch.first.Swap(nil); conn != nil {
				return conn, nil
			}
			conn, err := c.dial(ctx, at)
			if err != nil {
				return nil, err // and not a connection that is no nil
			}
			ch.uses(conn)
			return conn, nil
		},
		ForceAttemptHTTP2: true,
		// At a time, that is, in HTTP/2: else a crowd of calls would make a
		// handshake each before the first connection is there to share.
		MaxConnsPerHost: 1,
		IdleConnTimeout: idleTimeout,
		HTTP2:           pings,
	}}}
	return ch
}

// close closes the connections that are not in use.
func (ch *channel) close() {
	if conn := ch.first.Swap(nil); conn != nil {
		_ = conn.Close()
	}
	ch.http.CloseIdleConnections()
}
