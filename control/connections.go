package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/pki"
)

// recheckEvery is how long an open connection outlives its certificate at most.
const recheckEvery = time.Second

// Bounds of the connections of one identity, so that it leaves some to the others.
const (
	connectionsOfUser = maxConnections / 16
	connectionsOfNode = 64
)

// connections are the open connections of a listener. A certificate is verified in
// the handshake, and again for as long as the connection is open: with every change of
// the certificate files, and when the certificate ends. A connection whose
// certificate no longer counts is closed, and the contexts of its requests end, so
// that streams, watches and long polls end with it.
type connections struct {
	name        string
	credentials *pki.Credentials // nil where only the dates are known
	admitted    []pki.Role
	now         func() time.Time
	log         *slog.Logger
	ended       prometheus.Counter
	crowded     prometheus.Counter // connections over the bound of their identity

	mu         sync.Mutex
	open       map[net.Conn]*connection
	identities map[caller]int
	edition    uint64
}

// connection is an open connection.
type connection struct {
	cancel context.CancelCauseFunc
	state  tls.ConnectionState
	who    caller
	until  time.Time // when its certificate has to be verified again
	// edition is of the certificate files by which it was verified.
	edition uint64
	known   bool // the handshake is over, and the rest is set
}

// keep has a server's connections kept track of.
func (c *connections) keep(server *http.Server) {
	c.open, c.identities = map[net.Conn]*connection{}, map[caller]int{}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[conn] = &connection{cancel: cancel, edition: c.edition}
		return ctx
	}
	server.ConnState = c.changed
}

func (c *connections) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		c.begun(conn)
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(conn, errors.New("the connection was closed"))
	}
}

// forget drops a connection. The caller has the mutex.
func (c *connections) forget(conn net.Conn, cause error) {
	of, ok := c.open[conn]
	if !ok {
		return
	}
	delete(c.open, conn)
	of.cancel(cause)
	if of.known {
		if c.identities[of.who]--; c.identities[of.who] == 0 {
			delete(c.identities, of.who)
		}
	}
}

// begun notes the certificate of a connection before its first request.
func (c *connections) begun(conn net.Conn) {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return
	}
	c.mu.Lock()
	of, ok := c.open[conn]
	known := ok && of.known
	c.mu.Unlock()
	if !ok || known {
		return
	}
	state := secured.ConnectionState()
	who := callerOf(&http.Request{TLS: &state})
	c.mu.Lock()
	defer c.mu.Unlock()
	of.state, of.who, of.known = state, who, true
	c.identities[who]++
	limit := connectionsOfUser
	if who.role == pki.RoleNode {
		limit = connectionsOfNode
	}
	of.until = c.untilOf(of)
	err := c.verify(of) // it may have waited since the handshake for its first request
	if err == nil && c.identities[who] > limit {
		c.crowded.Inc()
		err = fmt.Errorf("%s %s has %d connections already, the limit of one certificate", who.role, who.name, limit)
	}
	if err != nil {
		c.end(conn, of, err)
	}
}

// untilOf returns when a connection's certificate has to be verified again.
func (c *connections) untilOf(of *connection) time.Time {
	if c.credentials != nil {
		return c.credentials.Until(of.state)
	}
	if len(of.state.PeerCertificates) == 0 {
		return time.Time{}
	}
	return of.state.PeerCertificates[0].NotAfter
}

// verify reports why a connection's certificate no longer counts.
func (c *connections) verify(of *connection) error {
	if c.credentials != nil {
		return c.credentials.Recheck(of.state, c.admitted...)
	}
	if c.expired(of.until) {
		return fmt.Errorf("the certificate of %s %s has expired", of.who.role, of.who.name)
	}
	return nil
}

// end ends a connection at once. The caller has the mutex.
func (c *connections) end(conn net.Conn, of *connection, cause error) {
	c.ended.Inc()
	c.log.Warn("connection ended", "listener", c.name, "caller", of.who.name, "role", of.who.role, "from", conn.RemoteAddr().String(), "cause", cause)
	c.forget(conn, cause)
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn() // a goodbye could wait for a client that does not read
	}
	_ = conn.Close()
}

// recheck ends the connections whose certificates no longer count.
func (c *connections) recheck() {
	var edition uint64
	if c.credentials != nil {
		edition = c.credentials.Edition()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.edition = edition
	for conn, of := range c.open {
		if !of.known || of.edition == edition && !c.expired(of.until) {
			continue
		}
		if err := c.verify(of); err != nil {
			c.end(conn, of, err)
			continue
		}
		of.edition, of.until = edition, c.untilOf(of)
	}
}

func (c *connections) expired(at time.Time) bool {
	if c.credentials != nil {
		return c.credentials.Expired(at)
	}
	return c.now().After(at)
}

// run rechecks until ctx ends.
func (c *connections) run(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.recheck()
		}
	}
}
