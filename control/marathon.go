package control

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// Marathon is what who follows Marathon may know of the cluster and do in it:
// nothing of it gives the holder token to anybody, and all of it is refused with
// CodeStale while the job of following Marathon is another replica's.
type Marathon struct {
	replica     *Replica
	self        api.ReplicaID
	now         func() time.Time
	log         *slog.Logger
	defaultSize int64
}

// Take takes the job of following Marathon, if no replica has it that is there,
// and reports whether it is this one's.
func (m *Marathon) Take(ctx context.Context) (bool, error) {
	s := m.replica.State()
	if j := s.Job(api.JobMarathon); j != nil && (j.Owner == m.self || s.Serves(j.Owner)) {
		return j.Owner == m.self, nil
	}
	res, err := m.replica.Do(ctx, cluster.TakeJob{At: m.now(), Name: api.JobMarathon, Replica: m.self})
	if err != nil {
		return false, err
	}
	mine := res.Job.Owner == m.self
	if mine && len(res.Changes) > 0 {
		m.log.Info("this replica follows Marathon from now on")
	}
	return mine, nil
}

// Now returns the time, as the control service has it.
func (m *Marathon) Now() time.Time { return m.now() }

// App returns what is remembered of an app, nil if nothing is.
func (m *Marathon) App(id string) *api.App { return m.replica.State().App(id) }

// Apps returns what is remembered of all apps, in the order of their ids.
func (m *Marathon) Apps() []*api.App { return slices.Collect(m.replica.State().Apps()) }

// Nodes returns all nodes.
func (m *Marathon) Nodes() []*api.Node { return slices.Collect(m.replica.State().Nodes()) }

// FollowApp makes known how Marathon has an app: its datasets are made where
// there are none of their names, and the hints, by these names, are told to the
// agents. It returns the app's record.
//
// For each instance that is coming and takes members of volume sets, these are
// chosen, and hinted at.
func (m *Marathon) FollowApp(ctx context.Context, app api.App, hints map[string]api.Hint, coming []api.Hint) (*api.App, error) {
	c := cluster.FollowApp{
		At: m.now(), Replica: m.self, App: app, Hints: hints, Coming: coming, DefaultSize: m.defaultSize,
		NewID: func() api.DatasetID { return api.DatasetID(uuid.NewString()) },
	}
	for { // an app with very many volumes takes several commits
		res, err := m.replica.Do(ctx, c)
		if err != nil {
			return nil, err
		}
		m.logApp(&res, c.At)
		if len(res.Changes) == 0 || !res.More {
			return res.App, nil
		}
	}
}

func (m *Marathon) logApp(res *Result, at time.Time) {
	for _, c := range res.Changes {
		switch d, h := c.Dataset, c.Hint; {
		case c.Ending != nil:
			m.log.Info("an instance has ended, or is being killed: its node is told to look whether it has", "node", nodeName(res.State, c.Ending.Node),
				"app", c.Ending.App, "instance", c.Ending.Instance)
		case d != nil && d.Created.Equal(at):
			m.log.Info("dataset was made known ahead of its app", "dataset", d.ID, "name", d.Name(), "app", res.App.ID, "size", d.Size)
		case d != nil:
			m.log.Info("dataset is not to be deleted any more, since an app asks for it", "dataset", d.ID, "name", d.Name(), "app", res.App.ID)
		case h != nil && !h.Make:
			m.log.Info("an instance was staged: its node is told which dataset it will need", "dataset", h.Dataset, "node", nodeName(res.State, h.Node),
				"app", h.App, "instance", h.Instance, "until", h.Until.Format(time.RFC3339))
		}
	}
}

// SetMembers says how many members a volume set may have, below zero that nobody
// knows any more.
func (m *Marathon) SetMembers(ctx context.Context, set string, owner api.Owner, count int) error {
	if s := m.replica.State().Set(set); s == nil && count < 0 || s != nil && s.Count != nil && *s.Count == count {
		return nil
	}
	res, err := m.replica.Do(ctx, cluster.SetMembers{At: m.now(), Name: set, Owner: owner, Count: count})
	if err == nil && len(res.Changes) > 0 {
		m.log.Info("a volume set may have as many members as its app has instances", "set", set, "members", count)
	}
	return err
}

// ForgetApp drops what is remembered of an app, if the record is still of a
// revision. With reclaim the app was destroyed, and what was to go with it is
// going to be deleted.
func (m *Marathon) ForgetApp(ctx context.Context, id string, revision uint64, reclaim bool, grace time.Duration) error {
	res, err := m.replica.Do(ctx, cluster.ForgetApp{
		At: m.now(), Replica: m.self, ID: id, Revision: revision, Reclaim: reclaim, Grace: grace,
	})
	if err != nil || len(res.Changes) == 0 {
		return err
	}
	m.log.Info("app is no more", "app", id, "destroyed", reclaim)
	for _, c := range res.Changes {
		if d := c.Dataset; d != nil && d.Reclaim != nil {
			m.log.Warn("dataset is going to be deleted, since its app was destroyed", "dataset", d.ID, "name", d.Name(), "app", id,
				"at", d.Reclaim.At.Format(time.RFC3339))
		}
	}
	return nil
}

// Reclaimable returns the datasets whose time of grace is over.
func (m *Marathon) Reclaimable() []*api.Dataset {
	return slices.Collect(m.replica.State().Reclaimable(m.now()))
}

// NextReclaim returns when the next time of grace is over after a moment, and
// false where none is.
func (m *Marathon) NextReclaim(after time.Time) (at time.Time, some bool) {
	return m.replica.State().NextReclaim(after)
}

// Reclaim deletes a dataset whose time of grace is over, unless anybody uses it
// or asks for it.
func (m *Marathon) Reclaim(ctx context.Context, id api.DatasetID) (deleted bool, err error) {
	res, err := m.replica.Do(ctx, cluster.Reclaim{At: m.now(), Replica: m.self, ID: id})
	if err != nil || len(res.Changes) == 0 {
		return false, err
	}
	m.log.Warn("dataset was deleted, since its app was destroyed", "dataset", id, "name", res.Dataset.Name())
	return true, nil
}

// Note makes known how well Marathon can be followed.
func (m *Marathon) Note(ctx context.Context, status api.MarathonStatus) error {
	_, err := m.replica.Do(ctx, cluster.NoteMarathon{Replica: m.self, Status: status})
	return err
}
