package cluster

import (
	"iter"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// kindDamaged is of the notes about records that another program has changed. An
// older version leaves them alone.
const kindDamaged = "damaged"

// Damaged is the note that a record in the log is not what was committed. The
// record is set aside, and nothing is done for the dataset that it is about.
type Damaged struct {
	Key   Key       `json:"key"`   // of the record
	What  string    `json:"what"`  // a sentence's end
	Since time.Time `json:"since"` // when it was noticed
	// Stray says that nothing was ever committed under the key.
	Stray bool `json:"stray,omitempty"`
	// Sum is the store's checksum of what was committed.
	Sum uint64 `json:"sum,omitempty"`
	// Value is what was committed, as it is stored; nil where that is not known.
	Value []byte `json:"value,omitempty"`
}

// Mendable reports whether it is known what the record has to be.
func (d *Damaged) Mendable() bool { return d.Stray || d.Value != nil }

// DamagedKey names the note about a record.
func DamagedKey(of Key) Key { return Key(kindDamaged + "/" + string(of)) }

// Damaged returns about which record k names a note, if it does.
func (k Key) Damaged() (of Key, ok bool) { return named[Key](k, kindDamaged) }

func putDamaged(d *Damaged) Change { return Change{Key: DamagedKey(d.Key), Damaged: d} }

// Damage yields the notes in the order of their records' keys, and after them
// the records that cannot be read.
func (s *State) Damage() iter.Seq[*Damaged] {
	return func(yield func(*Damaged) bool) {
		more := true
		s.damaged.Scan(func(_ Key, d *Damaged) bool {
			more = yield(d)
			return more
		})
		if more {
			s.spoilt.Scan(func(key Key, d *Damaged) bool {
				_, noted := s.damaged.Get(key)
				return noted || yield(d)
			})
		}
	}
}

// DamageOf returns the note about a record, nil if there is none.
func (s *State) DamageOf(key Key) *Damaged {
	if d, ok := s.damaged.Get(key); ok {
		return d
	}
	d, _ := s.spoilt.Get(key)
	return d
}

// SetAside notes in a Clone that no reader sees yet that a record cannot be
// used, until it is put anew. What was known of it before stays known.
func (s *State) SetAside(d Damaged) {
	s.spoilt.Set(d.Key, &d)
	s.reconsiderDamaged(d.Key)
}

// Frozen returns the dataset for which nothing is done while a record is damaged.
func (k Key) Frozen() (id api.DatasetID, ok bool) {
	if id, ok = k.Dataset(); !ok {
		id, ok = k.Lease()
	}
	return id, ok
}

// frozen reports whether nothing is done for a dataset.
func (s *State) frozen(id api.DatasetID) bool {
	return s.damaged.Len()+s.spoilt.Len() > 0 && (s.DamageOf(DatasetKey(id)) != nil || s.DamageOf(LeaseKey(id)) != nil)
}

// intact refuses a command about a frozen dataset.
func (s *State) intact(id api.DatasetID) error {
	if !s.frozen(id) {
		return nil
	}
	d := s.DamageOf(DatasetKey(id))
	if d == nil {
		d = s.DamageOf(LeaseKey(id))
	}
	return api.Errorf(api.CodeUnavailable, "nothing is done for dataset %s: its record %s in the log %s. An operator has to mend it: flocker control repair",
		id, d.Key, d.What)
}

// CheckFrozen refuses changes of frozen datasets.
func (s *State) CheckFrozen(changes []Change) error {
	if s.damaged.Len()+s.spoilt.Len() == 0 {
		return nil
	}
	for _, c := range changes {
		id, ok := c.Key.Frozen()
		if !ok {
			continue
		}
		if err := s.intact(id); err != nil {
			return err
		}
	}
	return nil
}

// unknownDataset returns the note about a dataset of which nothing is known, nil
// if there is none: its name may be any.
func (s *State) unknownDataset() *Damaged {
	for d := range s.Damage() {
		if id, ok := d.Key.Dataset(); ok && !d.Stray && s.Dataset(id) == nil {
			return d
		}
	}
	return nil
}

// putDamagedNote takes in a note, or its end.
func (s *State) putDamagedNote(of Key, d *Damaged) {
	s.spoilt.Delete(of)
	if d == nil {
		s.damaged.Delete(of)
	} else {
		s.damaged.Set(of, d)
	}
	s.reconsiderDamaged(of)
}

// reconsiderDamaged reconsiders what Upkeep has to do for a dataset.
func (s *State) reconsiderDamaged(of Key) {
	id, ok := of.Frozen()
	if !ok {
		return
	}
	if d := s.Dataset(id); d != nil {
		s.reconsider(d)
		s.reconsiderMember(d, d)
	}
}

// NoteDamage notes which records are not what was committed. Notes about others
// end: they are right again.
type NoteDamage struct {
	At    time.Time
	Found []Damaged
	Limit int // of notes that one commit takes
}

// Apply decides the command. It never refuses.
func (c NoteDamage) Apply(s *State) (Outcome, error) {
	var out Outcome
	found := map[Key]bool{}
	for _, d := range c.Found {
		found[d.Key] = true
		old, _ := s.damaged.Get(d.Key)
		if old != nil && (old.Value != nil || d.Value == nil || old.Sum != d.Sum) && old.Stray == d.Stray {
			continue
		}
		d.Since = c.At
		if old != nil {
			d.Since = old.Since
		}
		out.Changes = append(out.Changes, putDamaged(&d))
	}
	s.damaged.Scan(func(key Key, _ *Damaged) bool {
		if !found[key] {
			out.Changes = append(out.Changes, Change{Key: DamagedKey(key)})
		}
		return true
	})
	if len(out.Changes) > c.Limit {
		out.Changes, out.More = out.Changes[:c.Limit], true
	}
	return out, nil
}

// Overwritten returns what ends the notes about records that changes put anew.
func (s *State) Overwritten(changes []Change) []Change {
	if s.damaged.Len() == 0 {
		return nil
	}
	var ended []Change
	for _, c := range changes {
		if _, noted := s.damaged.Get(c.Key); noted {
			ended = append(ended, Change{Key: DamagedKey(c.Key)})
		}
	}
	return ended
}

// CountDamage returns how many records are set aside.
func (s *State) CountDamage() int {
	n := 0
	for range s.Damage() {
		n++
	}
	return n
}

// Stored returns what is known to have been committed under a key, as it is
// stored; nil where that is nothing.
func (s *State) Stored(key Key) ([]byte, error) {
	c := Change{Key: key}
	switch kind, id := key.split(); kind {
	case kindMeta:
		c.Meta = s.meta
	case kindLog:
		c.Log = s.log
	case kindBarred:
		c.Barred = s.barred
	case kindDataset:
		c.Dataset = s.Dataset(api.DatasetID(id))
	case kindState:
		c.State = s.DatasetState(api.DatasetID(id))
	case kindNode:
		c.Node = s.Node(api.NodeID(id))
	case kindReplica:
		c.Replica = s.Replica(api.ReplicaID(id))
	case kindLease:
		c.Lease = s.Lease(api.DatasetID(id))
	case kindApp:
		c.App, _ = s.apps.Get(id)
	case kindHint:
		c.Hint = s.Hint(api.DatasetID(id))
	case kindJob:
		c.Job, _ = s.jobs.Get(id)
	case kindSet:
		c.Set, _ = s.sets.Get(id)
	case kindEnding:
		c.Ending, _ = s.endings.Get(api.NodeID(id))
	case kindDamaged:
		c.Damaged, _ = s.damaged.Get(Key(id))
	}
	return Encode(c)
}
