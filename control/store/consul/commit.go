package consul

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
)

// Commit implements store.Log.
func (l *Log) Commit(ctx context.Context, batch store.Batch) (uint64, error) {
	revision, err := l.commit(ctx, batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	return revision, l.unsettled.settle(batch.ID, err)
}

func (l *Log) commit(ctx context.Context, batch store.Batch) (uint64, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if err := l.check(batch); err != nil {
		return 0, err
	}
	revision, err := l.decide(inner, batch, newChanges(batch.Changes))
	return revision, l.ended(ctx, err)
}

func (l *Log) check(batch store.Batch) error {
	if err := l.Properties().Check(batch); err != nil {
		return err
	}
	if err := checkText("id of the batch", batch.ID, maxIDBytes); err != nil {
		return err
	}
	for _, c := range batch.Changes {
		if err := checkText("key", c.Key, maxKeyBytes); err != nil {
			return err
		}
	}
	return nil
}

// decide commits a batch on what this process knows if that is as of the
// batch's revision, which is usual. Else, and where somebody else was faster,
// it looks whether the batch was committed before.
func (l *Log) decide(ctx context.Context, batch store.Batch, changes []change) (uint64, error) {
	if len(changes) == 0 {
		at, err := l.look(ctx)
		if err == nil && at.Revision != batch.After {
			err = raced(at, batch)
		}
		return at.Revision, err
	}
	for {
		base, ready := l.prepare(batch, changes)
		var refusal error
		if ready {
			revision, refusals, err := l.send(ctx, base, batch, changes)
			if err != nil || revision > 0 {
				return revision, err
			}
			refusal = refused(refusals)
		}
		at, revision, err := l.resolve(ctx, batch)
		if err != nil && ready && !certain(err) {
			err = fmt.Errorf("%w: %w", store.ErrUncertain, err)
		}
		switch {
		case err != nil || revision > 0:
			return revision, err
		case !ready:
			if err := l.catchUp(ctx); err != nil {
				return 0, err
			}
		case at.index == base.before.index:
			// Nobody was faster: Consul has another reason.
			return 0, fmt.Errorf("commit to %s: %w", l.name, refusal)
		}
	}
}

func raced(at position, batch store.Batch) error {
	return fmt.Errorf("%w: revision %d, not %d", store.ErrRaced, at.Revision, batch.After)
}

// base is what a commit is made on.
type base struct {
	before position
	after  contents
	mark   bool // PREFIX-begun is still to be made
}

// prepare returns what a batch is committed on, if this process knows it.
func (l *Log) prepare(batch store.Batch, changes []change) (base, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil || l.known.Revision != batch.After {
		return base{}, false
	}
	return base{before: l.known.position, after: l.known.after(changes), mark: !l.known.begun}, true
}

// markText is in PREFIX-begun, for a person who finds it.
const markText = `There is a log of Flocker's control service under the prefix of this key's name. ` +
	`While this key is here, Flocker refuses to begin anew should that log be gone: without its records, ` +
	`volumes would be made anew, empty, in place of those with your data.`

// send sends a batch in a transaction. It returns revision 0 without an error
// where Consul refused it.
func (l *Log) send(ctx context.Context, b base, batch store.Batch, changes []change) (uint64, api.TxnErrors, error) {
	next, ops, err := l.transaction(b, batch, changes)
	if err != nil {
		return 0, nil, fmt.Errorf("commit to %s: %w", l.name, err)
	}
	defer l.announce(batch.ID)()
	results, refusals, ok, err := l.client.write(ctx, ops)
	if err != nil {
		return 0, nil, fmt.Errorf("commit to %s: %w", l.name, err)
	}
	if !ok {
		return 0, refusals, nil
	}
	at := position{head: next}
	for _, r := range results {
		if r.KV != nil && r.KV.Key == l.keys.head {
			at.index = r.KV.ModifyIndex
		}
	}
	l.committed(at, batch, changes)
	return next.Revision, nil, nil
}

// announce lets those who follow know that a commit is this process's own,
// until the function that it returns is called.
func (l *Log) announce(id string) (answered func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	answer := make(chan struct{})
	l.sending[id] = answer
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sending[id] == answer { // not of another attempt
			delete(l.sending, id)
		}
		close(answer)
	}
}

// transaction returns what makes a commit, and the head that it leaves.
func (l *Log) transaction(b base, batch store.Batch, changes []change) (head, api.TxnOps, error) {
	done := committed{Revision: b.before.Revision + 1, ID: batch.ID}
	for _, c := range changes {
		done.Keys = append(done.Keys, c.Key)
	}
	next := b.before.next(b.after, done)
	headValue, err := encode(next)
	if err != nil {
		return head{}, nil, fmt.Errorf("encode head: %w", err)
	}
	doneValue, err := encode(done)
	if err != nil {
		return head{}, nil, fmt.Errorf("encode commit: %w", err)
	}
	ops := api.TxnOps{
		compareAndSet(l.keys.head, headValue, b.before.index),
		set(l.keys.commit(done.Revision), doneValue),
	}
	if b.mark {
		ops = append(ops, set(l.keys.begun, []byte(markText)))
	}
	for _, c := range changes {
		if len(c.Value) > 0 {
			ops = append(ops, put(l.keys.record(c.Key), c.Value, c.digest))
		} else {
			ops = append(ops, remove(l.keys.record(c.Key)))
		}
	}
	return next, ops, nil
}

// committed takes note of a commit of this process.
func (l *Log) committed(at position, batch store.Batch, changes []change) {
	for i, c := range changes {
		changes[i].Value = bytes.Clone(c.Value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known != nil && l.known.Revision == batch.After {
		l.known.apply(changes)
		l.known.position, l.known.begun = at, true
	}
	l.own.add(at.Revision, changes)
	if at.index > 0 {
		l.advance(at)
	}
}

// resolve finds out what has become of a batch: the revision that it was
// committed with; none, and no error, where it may be committed now.
func (l *Log) resolve(ctx context.Context, batch store.Batch) (at position, revision uint64, err error) {
	slot := l.keys.commit(batch.After + 1)
	at, pairs, err := l.read(ctx, true, slot)
	if err == nil && at.Revision == 0 {
		at, err = l.look(ctx)
	}
	switch {
	case err != nil:
		return at, 0, err
	case at.Revision == batch.After:
		return at, 0, nil
	case at.Revision < batch.After, at.Base > batch.After:
		return at, 0, raced(at, batch)
	}
	// It can only have become the commit after the one that it was decided on.
	done, err := l.commitAt(at, batch.After+1, pairs[0])
	switch {
	case errors.Is(err, store.ErrGap), err == nil && done.ID != batch.ID:
		return at, 0, raced(at, batch)
	case err != nil:
		return at, 0, err
	}
	return at, done.Revision, nil
}

// commitAt returns the commit with a revision from head or, if it is not there,
// from what was read beside head. It is store.ErrGap where it is too long ago.
func (l *Log) commitAt(at position, revision uint64, slot *api.KVPair) (committed, error) {
	if done, ok := at.recent(revision); ok {
		return done, nil
	}
	if slot.ModifyIndex == 0 {
		return committed{}, l.damaged("lacks "+slot.Key, nil)
	}
	done, err := decodeCommitted(slot.Value)
	switch {
	case err != nil:
		return committed{}, l.damaged("has "+slot.Key+" that cannot be read", err)
	case done.Revision > revision:
		return committed{}, store.ErrGap
	case done.Revision < revision:
		return committed{}, l.damaged(fmt.Sprintf("has the commit of revision %d in %s, not that of %d",
			done.Revision, slot.Key, revision), nil)
	}
	return done, nil
}

// catchUp brings what this process knows up to date.
func (l *Log) catchUp(ctx context.Context) error {
	l.mu.Lock()
	var after uint64
	load := l.known == nil
	if !load {
		after = l.known.Revision
	}
	seen := l.seen
	l.mu.Unlock()
	if !load {
		_, err := l.update(ctx, *seen, after)
		if load = errors.Is(err, store.ErrGap); !load {
			return err
		}
	}
	_, _, _, err := l.load(ctx)
	return err
}

// maxUnsettled bounds what is remembered of batches that nobody asks for again.
const maxUnsettled = 4096

// unsettled are the ids of batches that may have been committed. Whatever goes
// wrong the next time they are committed, that has to be said again.
type unsettled struct{ ids []string }

// settle returns the outcome of a Commit, considering what was before it.
func (u *unsettled) settle(id string, err error) error {
	i := slices.Index(u.ids, id)
	_, damaged := errors.AsType[*store.DamagedError](err)
	switch {
	case errors.Is(err, store.ErrUncertain):
		if i < 0 {
			u.ids = append(u.ids, id)
			u.ids = u.ids[max(0, len(u.ids)-maxUnsettled):]
		}
	case err == nil, errors.Is(err, store.ErrRaced):
		if i >= 0 {
			u.ids = slices.Delete(u.ids, i, i+1)
		}
	case i >= 0 && !damaged:
		return fmt.Errorf("%w: %w", store.ErrUncertain, err)
	}
	return err
}
