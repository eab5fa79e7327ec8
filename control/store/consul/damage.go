package consul

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// seal returns the flags of a record's key: its digest, and never 0, which is
// what other programs and older versions of this one leave there.
func seal(d digest) uint64 { return max(uint64(d), 1) }

// What is told of a damaged record.
const (
	whatChanged = "was changed by another program"
	whatRemoved = "was removed by another program"
	whatStray   = "was put there by another program"
)

// findings are what was read of the records. Its index is of what was committed, as
// far as can be told: where another program has changed a record, it has the
// digest of what was there before.
type findings struct {
	index

	read   map[string]*api.KVPair     // by the records' keys
	notes  map[string]cluster.Damaged // likewise
	damage []store.Damage
	older  []store.Record // that may be missing
}

func (l *Log) findings(pairs []*api.KVPair) *findings {
	f := &findings{read: make(map[string]*api.KVPair, len(pairs)), notes: map[string]cluster.Damaged{}}
	records := make([]store.Record, 0, len(pairs))
	for _, pair := range pairs {
		if folder(pair.Key) {
			continue
		}
		key, err := l.keys.recordKey(pair.Key)
		if err != nil {
			f.damage = append(f.damage, store.Damage{Key: pair.Key, What: whatStray, Foreign: true})
			continue
		}
		f.read[key] = pair
		records = append(records, store.Record{Key: key, Value: pair.Value})
		if of, ok := cluster.Key(key).Damaged(); ok {
			if c, err := cluster.Decode(cluster.Key(key), pair.Value); err == nil && c.Damaged != nil {
				f.notes[string(of)] = *c.Damaged
			}
		}
	}
	f.index = newIndex(records)
	l.mu.Lock()
	defer l.mu.Unlock()
	f.older = l.older
	return f
}

// expect notes that something else was committed under a key than was read there.
func (f *findings) expect(d store.Damage) {
	if old, ok := f.digests[d.Key]; ok {
		f.sum -= old
		f.records--
		delete(f.digests, d.Key)
	}
	if !d.Stray {
		f.digests[d.Key] = digest(d.Sum)
		f.sum += digest(d.Sum)
		f.records++
	}
	f.damage = append(f.damage, d)
}

func (f *findings) fits(h head) bool { return f.contents == contents{records: h.Records, sum: h.Sum} }

// recognise finds out which records were changed by other programs where this
// process knows what was committed up to a position.
func (l *Log) recognise(f *findings, at position) bool {
	l.mu.Lock()
	ready := l.known != nil && l.known.Revision == at.Revision
	l.mu.Unlock()
	if !ready {
		return false
	}
	all, exact := l.suspects(f, at)
	if !exact || len(all) > store.MaxDamage {
		return false
	}
	for _, d := range all {
		f.expect(d)
	}
	return f.fits(at.head)
}

// explain finds out which records were changed by other programs, and reports
// whether the rest is what head says. First that is looked for in the notes of
// replicas that ran then, and after that by the seals.
func (f *findings) explain(h head) bool {
	before := *f
	before.digests, before.damage = maps.Clone(f.digests), slices.Clone(f.damage)
	for _, trustSeals := range []bool{true, false} {
		*f = before
		f.digests, f.damage = maps.Clone(before.digests), slices.Clone(before.damage)
		f.byNotes(trustSeals)
		if f.fits(h) || f.bySeals(h) {
			return len(f.damage) <= store.MaxDamage
		}
	}
	return false
}

// byNotes takes what notes say for what was committed. A record that was committed
// after its note was made has a seal that fits.
func (f *findings) byNotes(trustSeals bool) {
	for key, n := range f.notes {
		at, there := f.digests[key]
		switch {
		case there && trustSeals && f.read[key].Flags == seal(at):
		case n.Stray && there:
			f.expect(store.Damage{Key: key, What: n.What, Stray: true})
		case !n.Stray && at != digest(n.Sum):
			f.expect(store.Damage{Key: key, What: n.What, Sum: n.Sum})
		}
	}
}

// bySeals looks for records whose seals are wrong, or missing.
func (f *findings) bySeals(h head) bool {
	aside := map[string]bool{}
	for _, d := range f.damage {
		aside[d.Key] = true
	}
	var unsealed []string
	for _, key := range slices.Sorted(maps.Keys(f.read)) {
		switch pair := f.read[key]; {
		case aside[key] || pair.Flags == seal(f.digests[key]):
		case pair.Flags == 0:
			unsealed = append(unsealed, key)
		default:
			f.expect(store.Damage{Key: key, What: whatChanged, Sum: pair.Flags})
		}
	}
	if f.fits(h) {
		return true
	}
	switch strays := int(f.records - h.Records); { //nolint:gosec // far fewer than 2^63
	case strays > 0:
		return f.removeStrays(h, unsealed, strays)
	case strays < 0 && len(unsealed) == 0:
		return f.recall(h, -strays)
	case strays == 0 && len(unsealed) > 0 && len(unsealed) <= store.MaxDamage:
		// What was committed under each of them cannot be told, but the sum of it can.
		rest := h.Sum - f.sum
		for _, key := range unsealed {
			rest += f.digests[key]
		}
		for i, key := range unsealed {
			d := store.Damage{Key: key, What: whatChanged}
			if i == 0 {
				d.Sum = uint64(rest)
			}
			f.expect(d)
		}
		return true
	}
	return false
}

// maxNamed is how many keys an error names.
const maxNamed = 5

// unsealed says which records have no seal, or a wrong one, "" for none.
func (f *findings) unsealed() string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(f.read)) {
		if pair := f.read[key]; pair.Flags != seal(digestOf(store.Record{Key: key, Value: pair.Value})) {
			keys = append(keys, pair.Key)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf(". %d of them were not written by this version: %s. If another program has put them there, remove them: consul kv delete KEY",
		len(keys), strings.Join(keys[:min(len(keys), maxNamed)], ", "))
}

// maxTries bounds the search for strays and for what is missing.
const maxTries = 1 << 20

// choose returns n of the keys whose digests add up to sum.
func choose(keys []string, digests map[string]digest, n int, sum digest) (chosen []string, ok bool) {
	if n > store.MaxDamage {
		return nil, false
	}
	tries := 0
	var search func(from, n int, rest digest) bool
	search = func(from, n int, rest digest) bool {
		if n == 0 {
			return rest == 0
		}
		for i := from; i <= len(keys)-n; i++ {
			if tries++; tries > maxTries {
				return false
			}
			chosen = append(chosen, keys[i])
			if search(i+1, n-1, rest-digests[keys[i]]) {
				return true
			}
			chosen = chosen[:len(chosen)-1]
		}
		return false
	}
	return chosen, search(0, n, sum)
}

// removeStrays finds which n of the keys have to go for the rest to be what head
// says.
func (f *findings) removeStrays(h head, keys []string, n int) bool {
	chosen, ok := choose(keys, f.digests, n, f.sum-h.Sum)
	for _, key := range chosen {
		f.expect(store.Damage{Key: key, What: whatStray, Stray: true})
	}
	return ok
}

// recall finds which n records of older ones are missing.
func (f *findings) recall(h head, n int) bool {
	digests := map[string]digest{}
	for _, r := range f.older {
		if _, there := f.read[r.Key]; !there {
			digests[r.Key] = digestOf(r)
		}
	}
	for _, d := range f.damage {
		delete(digests, d.Key)
	}
	chosen, ok := choose(slices.Sorted(maps.Keys(digests)), digests, n, h.Sum-f.sum)
	for _, key := range chosen {
		f.expect(store.Damage{Key: key, What: whatRemoved, Sum: uint64(digests[key])})
	}
	return ok
}

var _ store.Recaller = (*Log)(nil)

// Recall implements store.Recaller.
func (l *Log) Recall(records []store.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.older = records
}

// asCommitted returns what was committed, as far as it is known.
func (f *findings) asCommitted() []store.Record {
	aside := map[string]bool{}
	records := make([]store.Record, 0, len(f.read))
	for _, d := range f.damage {
		aside[d.Key] = true
		if n, ok := f.notes[d.Key]; ok && n.Value != nil && !d.Stray && n.Sum == d.Sum {
			records = append(records, store.Record{Key: d.Key, Value: n.Value})
		}
	}
	for key, pair := range f.read {
		if !aside[key] {
			records = append(records, store.Record{Key: key, Value: pair.Value})
		}
	}
	return records
}

var _ store.Inspector = (*Log)(nil)

// inspections bounds how often an inspection is begun anew because commits were
// made meanwhile.
const inspections = 8

// Inspect implements store.Inspector.
func (l *Log) Inspect(ctx context.Context) ([]store.Damage, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	damage, err := l.inspect(inner)
	return damage, l.ended(ctx, err)
}

func (l *Log) inspect(ctx context.Context) ([]store.Damage, error) {
	before, _ := l.newest()
	pairs, err := l.client.read(ctx, loadTimeout, api.TxnOps{get(l.keys.head), getTree(l.keys.root)}, false)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", l.name, err)
	}
	if err := l.complete(pairs, []string{l.keys.head}); err != nil {
		return nil, err
	}
	at, err := l.position(pairs[0])
	if err != nil {
		return nil, err
	}
	if before != nil && at.breaks(before.head) != "" {
		return nil, store.ErrGap // followers find out what that is
	}
	var foreign []store.Damage
	pairs = slices.DeleteFunc(pairs[1:], func(pair *api.KVPair) bool {
		if strings.HasPrefix(pair.Key, l.keys.records) {
			return false
		}
		if !l.keys.own(pair.Key) {
			foreign = append(foreign, store.Damage{Key: pair.Key, What: whatStray, Foreign: true})
		}
		return true
	})
	f := l.findings(pairs)
	foreign = append(foreign, f.damage...)
	if f.fits(at.head) {
		return foreign, nil
	}
	for range inspections {
		if err := l.upTo(ctx, at.Revision); err != nil {
			return nil, err
		}
		suspects, exact := l.suspects(f, at)
		if len(suspects) > maxReads {
			return nil, l.damaged(fmt.Sprintf("has %d records that were changed by other programs", len(suspects)), nil)
		}
		if exact {
			return append(foreign, suspects...), nil
		}
		// Commits were made since: what is suspected is read once more.
		names, keys := make([]string, len(suspects)), make([]string, len(suspects))
		for i, d := range suspects {
			names[i], keys[i] = l.keys.record(d.Key), d.Key
		}
		if at, pairs, err = l.read(ctx, false, names...); err != nil {
			return nil, err
		}
		for i, key := range keys {
			delete(f.read, key)
			delete(f.digests, key)
			if pairs[i].ModifyIndex > 0 {
				f.read[key] = pairs[i]
				f.digests[key] = digestOf(store.Record{Key: key, Value: pairs[i].Value})
			}
		}
	}
	return nil, fmt.Errorf("inspect %s: %w", l.name, store.ErrRaced)
}

// upTo brings what this process knows to a revision at the least.
func (l *Log) upTo(ctx context.Context, revision uint64) error {
	l.mu.Lock()
	ready := l.known != nil && l.known.Revision >= revision
	l.mu.Unlock()
	if ready {
		return nil
	}
	return l.catchUp(ctx)
}

// suspects returns which records that were read are not what this process knows
// to have been committed. Exact says that both are as of one revision.
func (l *Log) suspects(f *findings, at position) (all []store.Damage, exact bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, want := range l.known.digests {
		switch got, ok := f.digests[key]; {
		case !ok:
			all = append(all, store.Damage{Key: key, What: whatRemoved, Sum: uint64(want)})
		case got != want:
			all = append(all, store.Damage{Key: key, What: whatChanged, Sum: uint64(want)})
		}
	}
	for key := range f.digests {
		if _, ok := l.known.digests[key]; !ok {
			all = append(all, store.Damage{Key: key, What: whatStray, Stray: true})
		}
	}
	slices.SortFunc(all, func(a, b store.Damage) int { return strings.Compare(a.Key, b.Key) })
	return all, l.known.Revision == at.Revision
}
