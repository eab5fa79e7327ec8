package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// relay is a way to an address on which bytes are counted.
type relay struct {
	listener net.Listener
	target   string
	sent     atomic.Int64 // to the target
	received atomic.Int64 // from the target

	mu    sync.Mutex
	open  map[net.Conn]struct{} // nil when the relay is closed
	ended sync.WaitGroup
}

// newRelay relays to a target until it is closed.
func newRelay(target string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, target: target, open: map[net.Conn]struct{}{}}
	r.ended.Go(r.accept)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

// bytes returns how many have gone both ways.
func (r *relay) bytes() int64 { return r.sent.Load() + r.received.Load() }

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		far, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		if !r.add(near, far) {
			return
		}
		r.ended.Go(func() { pass(far, near, &r.sent) })
		r.ended.Go(func() { pass(near, far, &r.received) })
	}
}

// add notes connections, to be closed with the relay.
func (r *relay) add(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.open == nil {
			_ = c.Close()
			continue
		}
		r.open[c] = struct{}{}
	}
	return r.open != nil
}

// pass copies one direction until it ends, and then ends both.
func pass(to, from net.Conn, count *atomic.Int64) {
	defer func() { _ = errors.Join(to.Close(), from.Close()) }()
	_, _ = io.Copy(to, counted{from, count})
}

type counted struct {
	io.Reader
	count *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.count.Add(int64(n))
	return n, err
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for c := range r.open {
		_ = c.Close()
	}
	r.open = nil
	r.mu.Unlock()
	r.ended.Wait()
}
