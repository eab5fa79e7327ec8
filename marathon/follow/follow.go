package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon/client"
)

// Cluster is what of the cluster is looked at and changed here; the control
// service has it. All changes fail with api.CodeStale once following Marathon is
// another replica's job.
type Cluster interface {
	// Take takes the job, if it is to be had, and reports whether it is this
	// replica's. It may be called often.
	Take(ctx context.Context) (bool, error)
	Now() time.Time
	App(id string) *api.App
	Apps() []*api.App
	Nodes() []*api.Node
	// FollowApp makes known how Marathon has an app, in one commit with its
	// datasets and hints: by the names of datasets, and for the instances that are
	// coming, which take members of volume sets. Doing so again changes nothing.
	FollowApp(ctx context.Context, app api.App, hints map[string]api.Hint, coming []api.Hint) (*api.App, error)
	// SetMembers says how many members a volume set may have. A count below zero
	// says that nobody knows any more.
	SetMembers(ctx context.Context, set string, owner api.Owner, count int) error
	// ForgetApp drops an app's record if it still is of the revision; with reclaim
	// its datasets are marked that are to go with it.
	ForgetApp(ctx context.Context, id string, revision uint64, reclaim bool, grace time.Duration) error
	// Reclaimable returns the marked datasets whose time of grace is over.
	Reclaimable() []*api.Dataset
	// NextReclaim returns when the next time of grace is over after a moment, and
	// false where none is.
	NextReclaim(after time.Time) (at time.Time, some bool)
	// Reclaim deletes one of them, unless anybody uses it or asks for it.
	Reclaim(ctx context.Context, id api.DatasetID) (deleted bool, err error)
	Note(ctx context.Context, status api.MarathonStatus) error
}

// Config says how Marathon is followed.
type Config struct {
	Rules

	// Grace is for how long the datasets of a destroyed app are kept where their
	// labels want them deleted and do not say when.
	Grace time.Duration
	// Interval is between two snapshots.
	Interval time.Duration
	// Coalesce is how long an event waits for others.
	Coalesce time.Duration
	// Look is how often it is looked whose job it is.
	Look time.Duration
	// MinRetry and MaxRetry bound the time after a failure.
	MinRetry, MaxRetry time.Duration
}

// DefaultGrace is a day: time enough to notice what was destroyed by mistake.
const DefaultGrace = 24 * time.Hour

// DefaultConfig returns what is well for a Marathon in production.
func DefaultConfig() Config {
	return Config{
		Rules: Rules{Confirm: 10 * time.Second, Hint: 5 * time.Minute},
		Grace: DefaultGrace, Interval: time.Minute, Coalesce: 50 * time.Millisecond, Look: time.Second,
		MinRetry: time.Second, MaxRetry: 30 * time.Second,
	}
}

// Follower follows Marathon for as long as that is this replica's job.
type Follower struct {
	cfg      Config
	marathon Marathon
	cluster  Cluster
	log      *slog.Logger
	metrics  *metrics

	dirty *dirty
	mu    sync.Mutex // guards status, which the stream's goroutine changes too
	state api.MarathonStatus
	noted api.MarathonStatus
	// Why Marathon could not be read, and why its events could not be followed, when
	// that was tried last: the status tells of what is still so.
	unread, noEvents string
	pods             map[string]bool // ids that were last seen to be pods
	// strange is the framework id of another Marathon than the one that had the
	// apps, "" while the same one answers.
	strange string
}

// New makes a follower. The registry takes its metrics; nil for none.
func New(cfg Config, m Marathon, c Cluster, log *slog.Logger, registry prometheus.Registerer) (*Follower, error) {
	f := &Follower{cfg: cfg, marathon: m, cluster: c, log: log, metrics: newMetrics(), dirty: newDirty()}
	if registry != nil {
		for _, collector := range f.metrics.all() {
			if err := registry.Register(collector); err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	return f, nil
}

// Run follows Marathon whenever that is this replica's job, until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	for {
		mine, err := f.cluster.Take(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			f.log.Warn("cannot settle which replica follows Marathon, will try again", "cause", err, "next_try", f.cfg.Look)
		case mine:
			f.turn(ctx)
		}
		if !sleep(ctx, f.cfg.Look) {
			return nil
		}
	}
}

// errNotMine ends a turn.
var errNotMine = errors.New("another replica follows Marathon")

// turn follows Marathon until ctx ends or the job is another replica's.
func (f *Follower) turn(ctx context.Context) {
	ctx, end := context.WithCancelCause(ctx)
	defer f.metrics.connected.Set(0)
	var others sync.WaitGroup
	defer others.Wait()
	defer end(nil)
	f.state, f.noted, f.unread, f.noEvents = api.MarathonStatus{}, api.MarathonStatus{}, "", ""
	f.dirty.everything()
	others.Go(func() { f.listen(ctx) })
	others.Go(func() { f.watchJob(ctx, end) })
	f.work(ctx, end)
	if errors.Is(context.Cause(ctx), errNotMine) {
		f.log.Info("another replica follows Marathon from now on")
	}
}

// watchJob ends a turn when the job is another replica's.
func (f *Follower) watchJob(ctx context.Context, end context.CancelCauseFunc) {
	for sleep(ctx, f.cfg.Look) {
		if mine, err := f.cluster.Take(ctx); err == nil && !mine {
			end(errNotMine)
			return
		}
	}
}

// listen follows the stream of events until ctx ends. Each new stream has
// everything read: nobody tells what was missed between two.
func (f *Follower) listen(ctx context.Context) {
	pause := f.cfg.MinRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := f.marathon.Events(ctx, func() {
			f.log.Info("Marathon's events are followed")
			f.metrics.connected.Set(1)
			f.update(func(s *api.MarathonStatus) { s.Events, f.noEvents = true, "" })
			f.dirty.everything()
		}, func(ev client.Event) {
			f.metrics.event(ev)
			f.dirty.event(ev)
		})
		f.metrics.connected.Set(0)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > f.cfg.MaxRetry {
			pause = f.cfg.MinRetry
		}
		wait := pause/2 + rand.N(pause)
		f.log.Warn("Marathon's events cannot be followed, will try again", "cause", err, "next_try", wait.Round(time.Millisecond))
		f.update(func(s *api.MarathonStatus) { s.Events, f.noEvents = false, err.Error() })
		f.dirty.everything()
		if !sleep(ctx, wait) {
			return
		}
		pause = min(2*pause, f.cfg.MaxRetry)
	}
}

// work reads what there is to read, until ctx ends.
func (f *Follower) work(ctx context.Context, end context.CancelCauseFunc) {
	pause := f.cfg.MinRetry
	next := time.NewTimer(f.cfg.Interval)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			f.dirty.everything()
			continue
		case <-f.dirty.ready:
		}
		if !sleep(ctx, f.cfg.Coalesce) {
			return
		}
		w := f.dirty.take()
		if w.empty() {
			continue
		}
		again, err := f.round(ctx, w)
		switch {
		case ctx.Err() != nil:
			return
		case api.CodeOf(err) == api.CodeStale:
			end(errNotMine)
			return
		case err != nil:
			f.failed(ctx, err, pause)
			f.dirty.back(w)
			if !sleep(ctx, pause/2+rand.N(pause)) {
				return
			}
			pause = min(2*pause, f.cfg.MaxRetry)
			f.dirty.everything()
		default:
			pause = f.cfg.MinRetry
			if w.full || again > 0 {
				next.Reset(again)
			}
		}
	}
}

// round reads what there is to read and does what follows. It returns when the
// next snapshot is wanted.
func (f *Follower) round(ctx context.Context, w work) (again time.Duration, err error) {
	begin := time.Now()
	kind := "apps"
	if w.full {
		kind = "snapshot"
	}
	defer func() { f.metrics.round(kind, time.Since(begin), err) }()
	if err := f.heard(ctx, w.words); err != nil {
		return 0, err
	}
	if w.full {
		return f.snapshot(ctx)
	}
	return 0, f.some(ctx, w.apps)
}

// heard keeps what Marathon has said of the lives of apps: that it destroys one, or
// that a user has put one.
func (f *Follower) heard(ctx context.Context, words map[string]bool) error {
	framework := ""
	for id, ends := range words {
		app := f.cluster.App(id)
		if ends && app != nil && framework == "" { // whose word it is
			info, err := elected(ctx, f.marathon)
			if err != nil {
				return err
			}
			framework = info.Framework
		}
		said := heard(app, ends, framework, f.cluster.Now())
		if said == nil {
			continue
		}
		if ends {
			f.log.Info("Marathon says that it destroys an app", "app", id)
		}
		if _, err := f.cluster.FollowApp(ctx, said.App, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// some reads some apps. One that is missing has everything read.
func (f *Follower) some(ctx context.Context, ids map[string]bool) error {
	f.mu.Lock()
	framework, role, down := f.state.Framework, f.state.Role, !f.state.DownSince.IsZero()
	f.mu.Unlock()
	if framework == "" || down {
		f.dirty.everything() // whose apps these are is not known yet
		return nil
	}
	h := newHosts(f.cluster.Nodes())
	var d decisions
	for id := range ids {
		old := f.cluster.App(id)
		seen, err := readOne(ctx, f.marathon, id, f.pods[id] || old != nil && old.Pod)
		if err != nil {
			return err
		}
		if seen == nil {
			if old != nil {
				f.dirty.everything()
			}
			continue
		}
		f.dirty.interested(id, seen.asks())
		seen.Role = cmp.Or(seen.Role, role)
		d.one(f.cfg.Rules, old, seen, framework, h, f.cluster.Now())
	}
	return f.carryOut(ctx, d)
}

// snapshot reads everything, and says when to do so again.
func (f *Follower) snapshot(ctx context.Context) (again time.Duration, err error) {
	due := f.cluster.Reclaimable() // before it is read who asks for them
	s, err := snapshot(ctx, f.marathon, f.cluster.Now)
	if err != nil {
		return 0, err
	}
	f.dirty.disinterested(s)
	f.pods = map[string]bool{}
	for id, seen := range s.Apps {
		if seen.Pod {
			f.pods[id] = true
		}
	}
	d := f.cfg.all(f.cluster.Apps(), s, newHosts(f.cluster.Nodes()), f.cluster.Now())
	if err := f.carryOut(ctx, d); err != nil {
		return 0, err
	}
	gone := f.foreign(s)
	if gone > 0 { // the apps of the right Marathon are not seen
		due = nil
	}
	for _, dataset := range reclaims(due, s) {
		deleted, err := f.cluster.Reclaim(ctx, dataset.ID)
		if err != nil {
			return 0, err
		}
		if deleted {
			f.metrics.reclaimed.Inc()
		}
	}
	f.metrics.apps.Set(float64(len(d.follow)))
	f.update(func(st *api.MarathonStatus) {
		if !st.DownSince.IsZero() {
			f.log.Info("Marathon can be read again", "leader", s.Leader)
		}
		st.Leader, st.Version, st.Framework, st.Role = s.Leader, s.Version, s.Framework, s.Role
		st.Read, st.DownSince = s.Began.Round(0), time.Time{}
	})
	f.note(ctx)
	return f.next(), nil
}

// foreign returns how many apps are gone because another Marathon answers than the one
// that had them, and logs when that begins.
func (f *Follower) foreign(s *Snapshot) int {
	gone, before := 0, ""
	for _, a := range f.cluster.Apps() {
		if !a.Missing.IsZero() && s.foreign(a) {
			gone, before = gone+1, a.Framework
		}
	}
	if gone > 0 && f.strange != s.Framework {
		f.log.Warn("another Marathon answers than the one that had apps with volumes; they are gone, and their volumes are kept",
			"apps", gone, "framework", s.Framework, "framework_before", before, "leader", s.Leader)
		f.strange = s.Framework
	}
	if gone == 0 {
		f.strange = ""
	}
	return gone
}

// next returns when everything is to be read again: sooner than usual where an app
// waits to be confirmed as gone, or where a time of grace ends.
func (f *Follower) next() time.Duration {
	wait := f.cfg.Interval
	for _, a := range f.cluster.Apps() {
		if !a.Missing.IsZero() && !a.Stopped.IsZero() {
			wait = min(wait, f.cfg.Confirm)
			break
		}
	}
	now := f.cluster.Now()
	if at, some := f.cluster.NextReclaim(now); some {
		wait = min(wait, at.Sub(now)+time.Millisecond)
	}
	return wait
}

// atOnce is how many decisions are carried out at once; the control service
// commits together what comes together.
const atOnce = 16

// carryOut carries out what was decided.
func (f *Follower) carryOut(ctx context.Context, d decisions) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, one := range d.follow {
		group.Go(func() error {
			for set, n := range one.Sets { // first: the app's instances may be waiting to hear it
				if err := f.cluster.SetMembers(ctx, set, ownerOfSet(&one.App, set), n); err != nil {
					f.log.Warn("how many members a volume set has cannot be said", "set", set, "members", n, "app", one.App.ID, "cause", err)
				}
			}
			_, err := f.cluster.FollowApp(ctx, one.App, one.Hints, one.Coming)
			return err
		})
	}
	for _, one := range d.forget {
		group.Go(func() error {
			return f.forgetApp(ctx, one)
		})
	}
	return group.Wait()
}

// ownerOfSet returns for which owner an app asks for the members of a volume set.
func ownerOfSet(app *api.App, set string) api.Owner {
	for i := range app.Volumes {
		if v := &app.Volumes[i]; v.Set == set {
			return app.OwnerOf(v)
		}
	}
	return app.Owner
}

// forgetApp has an app forgotten, and how many members its volume sets may have.
func (f *Follower) forgetApp(ctx context.Context, one Forget) error {
	if err := f.cluster.ForgetApp(ctx, one.App.ID, one.App.Revision, one.Reclaim, f.cfg.Grace); err != nil {
		return err
	}
	sets := map[string]bool{}
	for _, v := range one.App.Volumes {
		if v.Set == "" || sets[v.Set] {
			continue
		}
		sets[v.Set] = true
		if err := f.cluster.SetMembers(ctx, v.Set, one.App.OwnerOf(&v), -1); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits, and reports whether ctx is still there.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
