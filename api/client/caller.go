package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
)

// caller makes calls to whichever replica answers. It stays with one for as
// long as that does.
type caller struct {
	cfg     Config
	finder  *finder
	shunned shunned

	workers sync.WaitGroup
	life    context.Context // ends with the caller
	end     context.CancelFunc

	mu      sync.Mutex
	current *channel              // nil before the first call, and when the last has failed
	kept    map[endpoint]*channel // of replicas that are there, but did not do what was asked
	opening *opening              // nil while no way is looked for
	ways    int                   // that were found last
}

// opening is the search for a way, which all wait for who need one.
type opening struct {
	done chan struct{} // closed when the others are set
	ch   *channel
	err  error
}

func newCaller(cfg Config) *caller {
	c := &caller{cfg: cfg, finder: newFinder(cfg), kept: map[endpoint]*channel{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

func (c *caller) close() {
	c.end()
	c.workers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.close()
	}
	for _, ch := range c.kept {
		ch.close()
	}
}

// call makes a call and decodes the answer into into, unless it is nil. The
// call must be one that can be made twice: when there is no answer, another
// replica is asked. Repeated says that an earlier attempt may have taken effect.
func (c *caller) call(ctx context.Context, req request, into any) (header http.Header, repeated bool, err error) {
	name, attempt := "", 1
	if req.writes() {
		name, req.patient = uuid.NewString(), true
	}
	err = c.each(ctx, func(ch *channel) error {
		h, sent, err := c.attempt(ctx, ch, req.numbered(name, attempt), into)
		header = h
		if sent && again(err) {
			attempt++
		}
		return err
	})
	return header, attempt > 1, err
}

// open makes a call whose answer is read bit by bit, for as long as ctx allows.
// Where there is none, another replica is asked. The caller closes the body.
func (c *caller) open(ctx context.Context, req request) (resp *http.Response, err error) {
	err = c.each(ctx, func(ch *channel) error {
		resp, err = send(ctx, ch.http, ch.at.name, req) //nolint:bodyclose // the caller closes it
		return err
	})
	return resp, err
}

// each tries one replica after the other until one has answered.
func (c *caller) each(ctx context.Context, try func(*channel) error) error {
	for tried := 1; ; tried++ {
		ch, ways, err := c.channel(ctx)
		if err != nil {
			return err // none can be reached
		}
		if err = ch.check(); err == nil {
			err = try(ch)
		}
		if !again(err) {
			return err
		}
		if ctx.Err() != nil {
			return err // which says nothing of the replica
		}
		c.leave(ch, err)
		// A connection that has died unnoticed fails the first attempt, so a
		// single endpoint is tried twice as well.
		if tried >= max(2, ways) {
			return err
		}
	}
}

// again reports whether another replica may do better.
func again(err error) bool {
	e, answered := errors.AsType[*api.Error](err)
	return err != nil && (!answered || e.Code == api.CodeUnavailable)
}

// attempt makes a call to one replica. Sent is false if it is certain that it
// has not seen it.
func (c *caller) attempt(ctx context.Context, ch *channel, req request, into any) (header http.Header, sent bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("no answer within %s", c.cfg.Timeout))
	defer cancel()
	resp, err := send(ctx, ch.http, ch.at.name, req)
	if err != nil {
		return nil, !neverConnected(err), err
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		return resp.Header, true, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return nil, true, fmt.Errorf("read answer of %s to %s %s: %w", ch.at, req.method, req.path, err)
	}
	return resp.Header, true, nil
}

// channel returns the way to the replica that answered last, or else to
// another, and how many ways there are. All who need a new one at once share it.
func (c *caller) channel(ctx context.Context) (ch *channel, ways int, err error) {
	c.mu.Lock()
	if c.current != nil {
		defer c.mu.Unlock()
		return c.current, c.ways, nil
	}
	o := c.opening
	if o == nil {
		o = &opening{done: make(chan struct{})}
		c.opening = o
		c.workers.Go(func() { c.search(o) })
	}
	c.mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return o.ch, c.ways, o.err
}

// search finds a way and makes it the current one.
func (c *caller) search(o *opening) {
	all, err := c.finder.find(c.life)
	if err == nil {
		all = c.shunned.last(all)
		o.ch, err = c.connect(all)
	}
	o.err = err
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.opening, c.ways = o.ch, nil, len(all)
	if o.ch != nil {
		if old := c.kept[o.ch.at]; old != nil && old != o.ch {
			old.close()
		}
		delete(c.kept, o.ch.at)
	}
	close(o.done)
}

// connect returns a way to one of several endpoints, one that is there already
// if it is to the first.
func (c *caller) connect(all []endpoint) (*channel, error) {
	c.mu.Lock()
	kept := c.kept[all[0]]
	c.mu.Unlock()
	if kept != nil {
		return kept, nil
	}
	conn, at, err := c.cfg.reach(c.life, all)
	if err != nil {
		return nil, fmt.Errorf("call the control service: %w", err)
	}
	return c.cfg.channel(conn, at, &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}), nil
}

// leave has the next call made to another replica, if there is one.
func (c *caller) leave(ch *channel, err error) {
	c.shunned.add(ch.at)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != ch {
		return // somebody else was here before
	}
	c.current = nil
	if _, answered := errors.AsType[*api.Error](err); answered {
		c.kept[ch.at] = ch
	} else {
		ch.close()
	}
}
