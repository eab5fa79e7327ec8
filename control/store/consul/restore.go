package consul

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
)

// Restorer restores a log in Consul.
//
// The first transaction takes away what was there, head first of all, and notes
// that a restore is under way; from then on whoever has the log open, or opens
// it, finds it damaged. Each of the next ones puts some of the records, if that
// note is still this restore's. The last one puts head, which is what makes it
// a log, with a name of its own, and takes the note away.
type Restorer struct {
	log   *Log
	found *found // what Remains saw
}

// found are the indexes of the keys by which a log can be told to be unchanged.
type found struct {
	head, restore uint64 // 0 where there is none
	empty         bool
}

var _ store.Restorer = (*Restorer)(nil)

// OpenRestorer returns what restores the log that settings name. It does not
// keep what it replaces.
func OpenRestorer(settings Settings) (*Restorer, error) {
	log, err := Open(settings)
	if err != nil {
		return nil, err
	}
	return &Restorer{log: log}, nil
}

// Name implements store.Restorer.
func (r *Restorer) Name() string { return r.log.name }

// Close implements store.Restorer.
func (r *Restorer) Close() error { return r.log.Close() }

// Remains implements store.Restorer.
func (r *Restorer) Remains(ctx context.Context) (store.Remains, error) {
	ctx, leave, err := r.log.enter(ctx)
	if err != nil {
		return store.Remains{}, err
	}
	defer leave()
	l := r.log
	names := []string{l.keys.head, l.keys.begun, l.keys.restore}
	var ops api.TxnOps
	for _, name := range names {
		ops = append(ops, get(name))
	}
	pairs, err := l.client.read(ctx, loadTimeout, append(ops, getTree(l.keys.root)), true)
	if err != nil {
		return store.Remains{}, fmt.Errorf("read %s: %w", l.name, err)
	}
	if err := l.complete(pairs, names); err != nil {
		return store.Remains{}, err
	}
	head, begun, unfinished := pairs[0], pairs[1].ModifyIndex > 0, pairs[2].ModifyIndex > 0
	keys := 0
	for _, pair := range pairs[3:] {
		if !folder(pair.Key) {
			keys++
		}
	}
	remains := store.Remains{
		Empty:   head.ModifyIndex == 0 && (unfinished || keys == 0 && !begun),
		What:    r.describe(head, keys, begun, unfinished),
		Becomes: fmt.Sprintf("is removed: all %d keys below %s", keys, l.keys.root),
	}
	if keys == 0 {
		remains.Becomes = "stays, and is right again"
	}
	r.found = &found{head: head.ModifyIndex, restore: pairs[2].ModifyIndex, empty: remains.Empty}
	return remains, nil
}

func (r *Restorer) describe(pair *api.KVPair, keys int, begun, unfinished bool) string {
	at, err := r.log.position(pair)
	switch {
	case err != nil:
		return fmt.Sprintf("%d keys, with a head that cannot be read", keys)
	case at.Revision > 0:
		return fmt.Sprintf("revision %d with %d records", at.Revision, at.Records)
	case unfinished:
		return fmt.Sprintf("%d keys of a restore that was not finished", keys)
	case keys > 0:
		return fmt.Sprintf("%d keys, but no head", keys)
	case begun:
		return "a mark that there was a log (" + r.log.keys.begun + "), but not the log itself"
	default:
		return "nothing"
	}
}

// Restore implements store.Restorer.
func (r *Restorer) Restore(ctx context.Context, snap store.Snapshot, replace bool) error {
	ctx, leave, err := r.log.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	found := r.found
	switch {
	case found == nil:
		return fmt.Errorf("%w: look first at what is there", store.ErrRaced)
	case !found.empty && !replace:
		return store.ErrNotEmpty
	}
	if err := r.fits(snap); err != nil {
		return err
	}
	r.found = nil
	note, err := r.begin(ctx, *found)
	if err != nil {
		return err
	}
	fault.Point("store.consul.restore-begun")
	for _, records := range inTransactions(r.log.keys, snap.Records) {
		ops := append(api.TxnOps{unchanged(r.log.keys.restore, note)}, records...)
		if _, err := r.write(ctx, ops); err != nil {
			return err
		}
		fault.Point("store.consul.restoring")
	}
	if err := r.finish(ctx, note, snap); err != nil {
		return err
	}
	fault.Point("store.consul.restored")
	return nil
}

// fits reports what no transaction could take, before anything is changed.
func (r *Restorer) fits(snap store.Snapshot) error {
	for _, record := range snap.Records {
		if err := checkText("key", record.Key, maxKeyBytes); err != nil {
			return err
		}
		if bytes := len(record.Key) + len(record.Value); bytes > maxBytes {
			return fmt.Errorf("%w: record %s has %d bytes, more than the %d that Consul takes", store.ErrTooLarge, record.Key, bytes, maxBytes)
		}
	}
	return nil
}

// begin takes away what is there, if it is what was found, and notes that a
// restore is under way. It returns the index of the note.
func (r *Restorer) begin(ctx context.Context, found found) (uint64, error) {
	keys := r.log.keys
	ops := api.TxnOps{is(keys.head, found.head), is(keys.restore, found.restore)}
	// What may not be is not asked to be removed: a folder that is not there
	// is no error.
	ops = append(ops,
		&api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDeleteTree, Key: keys.root}},
		set(keys.begun, []byte(markText)),
		set(keys.restore, []byte("A restore was begun and did not finish while this key is here: "+rand.Text())))
	results, err := r.write(ctx, ops)
	if err != nil {
		return 0, err
	}
	for _, result := range slices.Backward(results) { // the check has a result too
		if result.KV != nil && result.KV.Key == keys.restore {
			return result.KV.ModifyIndex, nil
		}
	}
	return 0, errors.New("begin to restore: Consul does not say what it has written")
}

// finish makes what was put a log.
func (r *Restorer) finish(ctx context.Context, note uint64, snap store.Snapshot) error {
	h := head{
		Format: format, Log: rand.Text(), Revision: snap.Revision, Base: snap.Revision, Recent: []committed{},
		Records: uint64(len(snap.Records)), Sum: newIndex(snap.Records).sum,
	}
	value, err := encode(h)
	if err != nil {
		return fmt.Errorf("encode head: %w", err)
	}
	keys := r.log.keys
	_, err = r.write(ctx, api.TxnOps{
		unchanged(keys.restore, note), compareAndSet(keys.head, value, 0), set(keys.begun, []byte(markText)), remove(keys.restore),
	})
	return err
}

// write makes one transaction of a restore. One that may have been made or not
// is no success: the restore can be run again.
func (r *Restorer) write(ctx context.Context, ops api.TxnOps) (api.TxnResults, error) {
	results, refusals, ok, err := r.log.client.write(ctx, ops)
	switch {
	case err != nil:
		return nil, fmt.Errorf("restore %s: %w", r.log.name, err)
	case !ok:
		return nil, fmt.Errorf("restore %s: %w, because it was written to meanwhile: stop all control services first (%w)",
			r.log.name, store.ErrRaced, refused(refusals))
	}
	return results, nil
}

// is has a transaction refused unless a key has an index; 0 is that of one that
// does not exist.
func is(key string, index uint64) *api.TxnOp {
	if index == 0 {
		return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: key}}
	}
	return unchanged(key, index)
}

func unchanged(key string, index uint64) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckIndex, Key: key, Index: index}}
}

// inTransactions divides records into what goes into a transaction each, beside
// the check of the note.
func inTransactions(keys keys, records []store.Record) []api.TxnOps {
	var all []api.TxnOps
	var ops api.TxnOps
	size := 0
	for _, record := range records {
		bytes := len(record.Key) + len(record.Value)
		if len(ops) == maxChanges || len(ops) > 0 && size+bytes > maxBytes {
			all, ops, size = append(all, ops), nil, 0
		}
		ops = append(ops, put(keys.record(record.Key), record.Value, digestOf(record)))
		size += bytes
	}
	if len(ops) > 0 {
		all = append(all, ops)
	}
	return all
}
