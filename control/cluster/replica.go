package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// StartReplica makes a control service one of the replicas. It is refused while
// others run with settings that are not its own.
type StartReplica struct {
	At       time.Time
	Replica  api.Replica
	Settings api.Settings
	// Alone says that no other replica can be running, since the log is
	// exclusively this one's.
	Alone bool
}

// keepLost is for how long lost replicas are shown.
const keepLost = time.Hour

// Apply decides the command.
func (c StartReplica) Apply(s *State) (Outcome, error) {
	if s.meta == nil {
		return Outcome{}, api.Errorf(api.CodeUnavailable, "the log was not begun")
	}
	var changes []Change
	for r := range s.Replicas() {
		switch {
		case r.ID == c.Replica.ID:
		case c.Alone, r.Name == c.Replica.Name && r.Users == c.Replica.Users, // the last run of the same
			!r.Lost.IsZero() && c.At.Sub(r.Lost) > keepLost:
			changes = append(changes, Change{Key: ReplicaKey(r.ID)})
		case r.Lost.IsZero() && s.meta.Settings != c.Settings:
			return Outcome{}, api.Errorf(api.CodeConflict, "replica %s (%s) runs with other settings: %s. All replicas must have the same: "+
				"change them here, or stop the others first; one that was killed is forgotten after three heartbeats",
				r.Name, r.Users, differences(s.meta.Settings, c.Settings))
		}
	}
	if s.meta.Settings != c.Settings {
		m := *s.meta
		m.Settings = c.Settings
		changes = append(changes, Change{Key: KeyMeta, Meta: &m})
	}
	r := c.Replica
	return Outcome{Changes: append(changes, s.started(r.ID), putReplica(&r))}, nil
}

// differences names the settings that differ, with both values.
func differences(theirs, ours api.Settings) string {
	var all []string
	for _, d := range []struct {
		key  string
		a, b any
	}{
		{"default-size", theirs.DefaultSize, ours.DefaultSize},
		{"max-size", theirs.Largest(), ours.Largest()},
		{"heartbeat", theirs.Heartbeat, ours.Heartbeat},
		{"keep-deleted", theirs.KeepDeleted, ours.KeepDeleted},
		{"on-lost-node", theirs.OnLostNode, ours.OnLostNode},
	} {
		if d.a != d.b {
			all = append(all, fmt.Sprintf("%s is %v there and %v here", d.key, d.a, d.b))
		}
	}
	return strings.Join(all, ", ")
}

// BeatReplica is a replica's sign of life.
type BeatReplica struct {
	Replica api.Replica // Beat is counted by the command
}

// Apply decides the command.
func (c BeatReplica) Apply(s *State) (Outcome, error) {
	r := c.Replica
	if old := s.Replica(r.ID); old != nil {
		r.Beat = old.Beat
	}
	r.Beat++
	r.Lost = time.Time{}
	return Outcome{Changes: []Change{putReplica(&r)}}, nil
}

// StopReplica is a replica's farewell.
type StopReplica struct{ ID api.ReplicaID }

// Apply decides the command.
func (c StopReplica) Apply(s *State) (Outcome, error) {
	if s.Replica(c.ID) == nil {
		return Outcome{}, nil
	}
	return Outcome{Changes: []Change{{Key: ReplicaKey(c.ID)}}}, nil
}

// LoseReplica says that a replica has not beaten for too long.
type LoseReplica struct {
	At   time.Time
	ID   api.ReplicaID
	Beat uint64 // the last that was seen; if there was another since, the replica lives
}

// Apply decides the command.
func (c LoseReplica) Apply(s *State) (Outcome, error) {
	old := s.Replica(c.ID)
	if old == nil || old.Beat != c.Beat || !old.Lost.IsZero() {
		return Outcome{}, nil
	}
	r := *old
	r.Lost = c.At
	return Outcome{Changes: []Change{putReplica(&r)}}, nil
}
