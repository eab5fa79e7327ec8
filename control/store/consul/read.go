package consul

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
)

// maxReads is how many keys are read at once beside head.
const maxReads = maxOps - 1

// read reads head and other keys as of one moment, which is not before any
// state that this process knows. Current asks for one not before the call.
func (l *Log) read(ctx context.Context, current bool, names ...string) (position, []*api.KVPair, error) {
	before, _ := l.newest()
	ops := api.TxnOps{get(l.keys.head)}
	for _, name := range names {
		ops = append(ops, get(name))
	}
	pairs, err := l.client.read(ctx, requestTimeout, ops, current)
	if err != nil {
		return position{}, nil, fmt.Errorf("read %s: %w", l.name, err)
	}
	if err := l.complete(pairs, append([]string{l.keys.head}, names...)); err != nil {
		return position{}, nil, err
	}
	at, err := l.position(pairs[0])
	if err == nil {
		err = l.observe(before, at, current)
	}
	if errors.Is(err, errStale) {
		return l.read(ctx, true, names...)
	}
	return at, pairs[1:], err
}

// complete reports what is missing in what was read: Consul leaves out what a
// token may not read.
func (l *Log) complete(pairs []*api.KVPair, names []string) error {
	for i, name := range names {
		if i >= len(pairs) || pairs[i].Key != name {
			return fmt.Errorf("read %s: Consul lets us not read %s: look at the token's policy", l.name, name)
		}
	}
	return nil
}

// look returns where the log stands now.
func (l *Log) look(ctx context.Context) (position, error) {
	at, _, err := l.read(ctx, true)
	if err != nil || at.Revision > 0 {
		return at, err
	}
	// An empty log is one without records too.
	at, _, _, err = l.load(ctx)
	return at, err
}

// Load implements store.Log.
func (l *Log) Load(ctx context.Context) (store.Snapshot, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return store.Snapshot{}, err
	}
	defer leave()
	at, records, damage, err := l.load(inner)
	if err != nil {
		return store.Snapshot{}, l.ended(ctx, err)
	}
	return store.Snapshot{Revision: at.Revision, Records: records, Damage: damage}, nil
}

// load reads everything in one transaction.
func (l *Log) load(ctx context.Context) (position, []store.Record, []store.Damage, error) {
	before, _ := l.newest()
	names := []string{l.keys.head, l.keys.begun, l.keys.restore}
	var ops api.TxnOps
	for _, name := range names {
		ops = append(ops, get(name))
	}
	ops = append(ops, getTree(l.keys.records))
	pairs, err := l.client.read(ctx, loadTimeout, ops, true)
	if err != nil {
		return position{}, nil, nil, fmt.Errorf("read %s: %w", l.name, err)
	}
	if err := l.complete(pairs, names); err != nil {
		return position{}, nil, nil, err
	}
	at, err := l.position(pairs[0])
	if err != nil {
		return position{}, nil, nil, err
	}
	if err := l.observe(before, at, true); err != nil {
		return position{}, nil, nil, err
	}
	if pairs[2].ModifyIndex > 0 {
		return position{}, nil, nil, l.damaged("is being restored, or a restore of it was begun and not finished", nil)
	}
	found := l.findings(pairs[3:])
	k := &known{position: at, index: found.index, begun: pairs[1].ModifyIndex > 0}
	if err := l.verify(k); err != nil {
		if at.Revision == 0 {
			return position{}, nil, nil, err
		}
		if !l.recognise(found, at) && !found.explain(at.head) {
			if damaged, ok := errors.AsType[*store.DamagedError](err); ok {
				damaged.What += found.unsealed()
			}
			return position{}, nil, nil, err
		}
		k.index = found.index
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(at)
	if l.known == nil || l.known.Revision <= at.Revision {
		l.known = k
	}
	return at, found.asCommitted(), found.damage, nil
}

// verify compares what was read with what head says of it.
func (l *Log) verify(k *known) error {
	if k.Revision == 0 {
		switch {
		case k.records > 0:
			return l.damaged(fmt.Sprintf("has %d records, but no %s", k.records, l.keys.head), nil)
		case k.begun:
			return l.damaged(fmt.Sprintf("is empty, but was begun: %s is there, which is part of it as %s is",
				l.keys.begun, l.keys.root), nil)
		}
		return nil
	}
	return l.compare(k.contents, k.head)
}

// compare compares records with what head says of them.
func (l *Log) compare(c contents, h head) error {
	switch {
	case c.records > h.Records:
		return l.damaged(fmt.Sprintf("has %d records, and %d were committed", c.records, h.Records), nil)
	case c.records < h.Records:
		return l.damaged(fmt.Sprintf("has %d records, not the %d that were committed (or the token may not read them). "+
			"With a backup that has what is missing as it was: flocker control repair --from FILE", c.records, h.Records), nil)
	case c.sum != h.Sum:
		return l.damaged("has a record that was changed by other means than a commit", nil)
	}
	return nil
}
