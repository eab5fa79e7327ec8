package consul

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
)

// Follow implements store.Log.
func (l *Log) Follow(ctx context.Context, after uint64) (store.Update, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return store.Update{}, err
	}
	defer leave()
	up, err := l.follow(inner, after)
	return up, l.ended(ctx, err)
}

func (l *Log) follow(ctx context.Context, after uint64) (store.Update, error) {
	var index uint64 // to wait on while there is no head
	for {
		seen, changed := l.newest()
		switch {
		case seen == nil || seen.Revision < after:
			at, err := l.look(ctx)
			if err != nil {
				return store.Update{}, err
			}
			if at.Revision < after {
				return store.Update{}, fmt.Errorf("%w: %s is at revision %d, not %d", store.ErrRewound, l.name, at.Revision, after)
			}
		case seen.Revision > after:
			return l.update(ctx, *seen, after)
		default:
			var err error
			if index, err = l.wait(ctx, *seen, max(index, seen.index), changed); err != nil {
				return store.Update{}, err
			}
		}
	}
}

// wait waits for a head other than the one that was seen, or for a while. Of
// all that wait, one does so at Consul. It returns the index to wait on next.
func (l *Log) wait(ctx context.Context, seen position, index uint64, changed <-chan struct{}) (uint64, error) {
	select {
	case l.waiter <- struct{}{}:
		defer func() { <-l.waiter }()
	case <-changed:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case <-changed: // while the turn was waited for
		return 0, nil
	default:
	}
	pair, next, err := l.client.wait(ctx, l.keys.head, index)
	if err != nil {
		return 0, fmt.Errorf("wait for a commit to %s: %w", l.name, err)
	}
	at, err := l.position(pair)
	if err == nil {
		err = l.observe(&seen, at, false)
	}
	if errors.Is(err, errStale) {
		_, err = l.look(ctx)
	}
	return next, err
}

// update returns what changed after a revision, up to a newer one that was seen
// or a later one.
func (l *Log) update(ctx context.Context, seen position, after uint64) (store.Update, error) {
	l.awaitOwn(ctx, seen)
	l.mu.Lock()
	up, ok := l.own.since(after, seen.Revision)
	l.mu.Unlock()
	if ok {
		return up, nil
	}
	c := collection{upTo: after, touched: map[string]uint64{}, values: map[string]value{}}
	at := seen
	for {
		if at.Revision-after > history || after < at.Base {
			return store.Update{}, store.ErrGap
		}
		if err := l.collectKeys(ctx, &c, at); err != nil {
			return store.Update{}, err
		}
		due := c.due()
		if len(due) == 0 {
			break
		}
		var err error
		if at, err = l.collectValues(ctx, &c, due); err != nil {
			return store.Update{}, err
		}
	}
	up = c.update()
	return up, l.learn(after, at, up.Changes)
}

// ownPatience is how long a follower that learns of a commit of its own process
// waits for the answer to it. It is on its way.
const ownPatience = 20 * time.Millisecond

// awaitOwn waits a little until the commit that a head is about has been
// answered, if it is this process's own: then it need not be read.
func (l *Log) awaitOwn(ctx context.Context, at position) {
	done, ok := at.recent(at.Revision)
	if !ok {
		return
	}
	l.mu.Lock()
	answer := l.sending[done.ID]
	l.mu.Unlock()
	if answer == nil {
		return
	}
	patience := time.NewTimer(ownPatience)
	defer patience.Stop()
	select {
	case <-answer:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// collectKeys collects which keys were touched up to a position.
func (l *Log) collectKeys(ctx context.Context, c *collection, at position) error {
	for c.upTo < at.Revision {
		if done, ok := at.recent(c.upTo + 1); ok {
			c.touch(done)
			continue
		}
		var names []string
		last := min(at.Revision-uint64(len(at.Recent)), c.upTo+maxReads)
		for revision := c.upTo + 1; revision <= last; revision++ {
			names = append(names, l.keys.commit(revision))
		}
		now, pairs, err := l.read(ctx, false, names...)
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			done, err := l.commitAt(now, c.upTo+1, pair)
			if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
				return store.ErrGap // another program has changed it: all records tell what it was
			}
			if err != nil {
				return err
			}
			c.touch(done)
		}
	}
	return nil
}

// collectValues collects the values of some keys and returns as of which
// position they are.
func (l *Log) collectValues(ctx context.Context, c *collection, due []string) (position, error) {
	names := make([]string, len(due))
	for i, key := range due {
		names[i] = l.keys.record(key)
	}
	at, pairs, err := l.read(ctx, false, names...)
	if err != nil {
		return at, err
	}
	for i, key := range due {
		c.values[key] = value{bytes: pairs[i].Value, asOf: at.Revision}
	}
	return at, nil
}

// learn adds to what is known what changed from a revision to a position, after
// comparing it with what head says.
func (l *Log) learn(after uint64, at position, records []store.Record) error {
	changes := newChanges(records)
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.known
	if k == nil || k.Revision < after || k.Revision >= at.Revision {
		return nil // nothing to add to, or nothing new
	}
	if l.compare(k.after(changes), at.head) != nil {
		// Another program has changed one of the records before it was read here:
		// which one it is shows when everything is read.
		return store.ErrGap
	}
	k.apply(changes)
	k.position = at
	return nil
}

// collection is what a follower has read so far: values as of different
// revisions, and which of them are still valid as of the newest.
type collection struct {
	upTo    uint64            // all that was touched up to here is in touched
	touched map[string]uint64 // by the newest revision
	order   []string          // of keys
	values  map[string]value
}

type value struct {
	bytes []byte
	asOf  uint64 // revision
}

func (c *collection) touch(done committed) {
	for _, key := range done.Keys {
		if _, ok := c.touched[key]; !ok {
			c.order = append(c.order, key)
		}
		c.touched[key] = done.Revision
	}
	c.upTo = done.Revision
}

// due returns keys whose values have to be read, as many as go into one read.
func (c *collection) due() []string {
	var due []string
	for _, key := range c.order {
		if c.values[key].asOf < c.touched[key] && len(due) < maxReads {
			due = append(due, key)
		}
	}
	return due
}

func (c *collection) update() store.Update {
	up := store.Update{Revision: c.upTo}
	for _, key := range c.order {
		up.Changes = append(up.Changes, store.Record{Key: key, Value: c.values[key].bytes})
	}
	return up
}
