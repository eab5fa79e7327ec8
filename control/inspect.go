package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// An inspection reads the whole log, so it is made the more seldom the longer it
// takes: at most a two-hundredth of the time.
const (
	minInspectPause = 3 * time.Second
	maxInspectPause = 10 * time.Minute
	inspectShare    = 200
)

// maxNamed is how many keys a line of the log names.
const maxNamed = 10

// notesAtOnce is how many notes go into one commit, of what any log can take.
const notesAtOnce = 16

// inspect looks now and then whether other programs have changed the log, and
// notes in the log what they have. It ends when the log cannot be gone on with.
func (r *Replica) inspect(ctx context.Context, log store.Inspector) error {
	pause := minInspectPause
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		begin := time.Now()
		found, err := log.Inspect(ctx)
		took := time.Since(begin)
		pause = min(max(inspectShare*took, minInspectPause), maxInspectPause)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.fatal(err):
			return err
		case errors.Is(err, store.ErrGap): // it will be read anew
			continue
		case err != nil:
			r.slog.Debug("log cannot be inspected, will try again", "cause", err, "next_try", pause)
			continue
		}
		r.metrics.inspection.Observe(took.Seconds())
		if err := r.noteDamage(ctx, found); err != nil && ctx.Err() == nil {
			r.slog.Warn("damage of the log cannot be noted, will try again", "cause", err, "next_try", pause)
		}
	}
}

// noteDamage has the notes in the log say what was found.
func (r *Replica) noteDamage(ctx context.Context, found []store.Damage) error {
	cmd := cluster.NoteDamage{At: time.Now().UTC(), Limit: notesAtOnce}
	s := r.State()
	var foreign []string
	for _, d := range found {
		if d.Foreign {
			foreign = append(foreign, d.Key)
			continue
		}
		cmd.Found = append(cmd.Found, damaged(d, s))
	}
	r.metrics.foreign.Set(float64(len(foreign)))
	if !r.foreign.same(foreign) && len(foreign) > 0 {
		r.slog.Warn("log has keys that are none of its own, they are ignored", "count", len(foreign), "keys", foreign[:min(len(foreign), maxNamed)])
	}
	for {
		if out, err := cmd.Apply(r.State()); err == nil && len(out.Changes) == 0 {
			return nil
		}
		res, err := r.Do(ctx, cmd)
		if err != nil {
			return err
		}
		for _, c := range res.Changes {
			of, _ := c.Key.Damaged()
			if d := c.Damaged; d != nil {
				dataset, _ := of.Frozen()
				r.slog.Error("record of the log was changed by another program, it is set aside", "key", of, "what", d.What,
					"dataset", dataset, "mendable", d.Mendable())
			} else {
				r.slog.Info("record of the log is right again", "key", of)
			}
		}
		if !res.More {
			return nil
		}
	}
}

// damaged makes a note of what the store has found, with what s knows was
// committed.
func damaged(d store.Damage, s *cluster.State) cluster.Damaged {
	note := cluster.Damaged{Key: cluster.Key(d.Key), What: d.What, Stray: d.Stray, Sum: d.Sum, Since: time.Now().UTC()}
	if d.Stray {
		return note
	}
	if value, err := s.Stored(note.Key); err == nil {
		note.Value = value
	}
	return note
}

// recall puts into a state what a note says was committed, where nothing is known.
func recall(s *cluster.State, of cluster.Key) error {
	d := s.DamageOf(of)
	if d == nil || d.Value == nil {
		return nil
	}
	if known, err := s.Stored(of); err != nil || known != nil {
		return err
	}
	return s.PutStored(of, d.Value)
}

// foreignKeys are the keys of the log that are none of its own.
type foreignKeys struct{ keys []string }

// same reports whether keys are those of the last time, and keeps them.
func (f *foreignKeys) same(keys []string) bool {
	defer func() { f.keys = keys }()
	return slices.Equal(f.keys, keys)
}
