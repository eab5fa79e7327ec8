package control

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// membership keeps this replica among the replicas of the cluster, and notes
// which others are gone.
//
// A replica beats in the log: it commits its record anew every heartbeat, and
// the others see the change. Whoever is not seen to beat for a grace period is
// lost, whether it died, hangs, or cannot reach the log. That needs no session
// in Consul, which takes 20 s at the least to end, and works on any log.
type membership struct {
	replica  *Replica
	self     api.Replica
	settings api.Settings
	alone    bool // nobody else can be a replica: there is nobody to beat for
	now      func() time.Time
	log      *slog.Logger
	metrics  *metrics
	expires  func() time.Time // when the certificate ends, nil where that is not known

	seen   sightings[api.ReplicaID]
	beaten atomic.Int64 // when the last beat that was committed was sent, in nanoseconds since origin
	origin time.Time    // with the monotonic clock
}

func newMembership(r *Replica, self api.Replica, settings api.Settings, now func() time.Time, log *slog.Logger, m *metrics) *membership {
	return &membership{
		origin: time.Now(), replica: r, self: self, settings: settings, alone: r.props.Exclusive, now: now, log: log, metrics: m,
		seen: newSightings[api.ReplicaID](patience * settings.Heartbeat),
	}
}

// join makes this one of the replicas; the writer need not run yet. It is
// refused where others run with other settings.
func (m *membership) join(ctx context.Context) error {
	sent := time.Since(m.origin)
	err := m.replica.doAlone(ctx, cluster.StartReplica{
		At: m.now(), Replica: m.record(), Settings: m.settings, Alone: m.alone,
	})
	if err == nil {
		m.beaten.Store(int64(sent))
	}
	return err
}

// errCutOff ends the streams of a replica that may be lost for the others.
var errCutOff = api.Errorf(api.CodeUnavailable, "this replica cannot reach the log: another one may")

// cutOff reports whether the others may hold this replica for lost: then it
// must not let agents believe that they are in contact, since the others will
// hold them for lost too, a grace period later.
func (m *membership) cutOff() bool {
	return !m.alone && time.Since(m.origin)-time.Duration(m.beaten.Load()) > m.seen.grace
}

// leave says farewell.
func (m *membership) leave(ctx context.Context) {
	if _, err := m.replica.Do(ctx, cluster.StopReplica{ID: m.self.ID}); err != nil {
		m.log.Warn("could not say farewell to the other replicas, they will miss this one", "cause", err)
	}
}

// record is this replica's record as it is now.
func (m *membership) record() api.Replica {
	r := m.self
	if m.expires != nil {
		r.CertificateExpires = m.expires()
	}
	return r
}

// quiet reports whether there is nobody to beat for and nothing new to say.
func (m *membership) quiet() bool {
	if !m.alone {
		return false
	}
	known := m.replica.State().Replica(m.self.ID)
	return m.expires == nil || known != nil && known.CertificateExpires.Equal(m.expires())
}

// beat beats until ctx ends.
func (m *membership) beat(ctx context.Context) {
	tick := time.NewTicker(m.settings.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if m.quiet() {
			continue
		}
		sent := time.Since(m.origin)
		switch _, err := m.replica.Do(ctx, cluster.BeatReplica{Replica: m.record()}); {
		case err == nil:
			m.beaten.Store(int64(sent))
		case ctx.Err() == nil:
			m.log.Warn("could not tell the other replicas that this one lives, will try again", "cause", err, "next_try", m.settings.Heartbeat)
		}
	}
}

// judge notes which replicas have been silent for too long.
func (m *membership) judge(ctx context.Context) {
	for r := range m.replica.State().Replicas() {
		if r.ID == m.self.ID || !r.Lost.IsZero() {
			continue
		}
		if silent := m.seen.silence(r.ID, r.Beat); silent <= m.seen.grace {
			continue
		}
		res, err := m.replica.Do(ctx, cluster.LoseReplica{At: m.now(), ID: r.ID, Beat: r.Beat})
		switch {
		case err != nil:
			m.log.Warn("silent replica cannot be noted as lost, will try again", "replica", r.Name, "cause", err)
		case len(res.Changes) > 0:
			m.metrics.replicasLost.Inc()
			m.log.Warn("replica is lost", "replica", r.Name, "id", r.ID, "users", r.Users, "for", m.seen.grace)
		}
	}
}

// first reports whether a replica is the first of those that are there: it does
// what needs doing once.
func first(s *cluster.State, id api.ReplicaID) bool {
	for r := range s.Replicas() {
		if r.Lost.IsZero() {
			return r.ID == id
		}
	}
	return true
}
