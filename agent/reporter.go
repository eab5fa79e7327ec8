package agent

import (
	"context"
	"reflect"
	"sync"

	"github.com/flocker-mesos/flocker/api"
)

// effects are what a report changes beside the reported state.
type effects struct {
	epoch     uint64 // of the token under which this was decided; another one meanwhile makes it void
	volume    *api.Volume
	release   bool
	withdraw  bool
	destroyed bool
	fence     *api.FenceReport
	free      uint64 // the claim by which the user of a member of a set had it
}

// reporter sends what has changed to the control service: everything that is
// pending in one report, the next while the last is under way collects. So a
// burst costs a few commits, and a single change is told at once.
type reporter struct {
	node    api.NodeID
	state   func(api.DatasetID) (api.DatasetState, bool)
	settle  func(api.DatasetID, effects)
	spend   func(api.DatasetID, uint64)
	session func() (Session, error) // the current one

	// Accepted are the states that the control service has taken in, on which
	// stream; another one knows nothing. Only flush uses them.
	accepted map[api.DatasetID]api.DatasetState
	told     *api.MesosTrouble // likewise
	on       Session

	mu      sync.Mutex
	trouble *api.MesosTrouble // nil for none
	pending map[api.DatasetID]*pendingReport
	wake    chan struct{} // holds one token while something is pending
}

type pendingReport struct {
	effects effects
	waiting []chan<- error
}

func newReporter(node api.NodeID, session func() (Session, error)) *reporter {
	return &reporter{
		node: node, session: session,
		pending: map[api.DatasetID]*pendingReport{},
		wake:    make(chan struct{}, 1),
	}
}

// note has the state of a dataset reported soon. It never blocks.
func (r *reporter) note(id api.DatasetID) { r.enqueue(id, effects{}, nil) }

// send reports a dataset with effects and returns when they are committed, or
// why they are not.
func (r *reporter) send(ctx context.Context, id api.DatasetID, eff effects) error {
	done := make(chan error, 1)
	r.enqueue(id, eff, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setMesosTrouble takes in why the containers of the Mesos agent are unknown.
func (r *reporter) setMesosTrouble(t *api.MesosTrouble) {
	r.mu.Lock()
	r.trouble = t
	r.mu.Unlock()
	r.wakeUp()
}

func (r *reporter) mesosTrouble() *api.MesosTrouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble
}

// wakeUp has what is new reported soon.
func (r *reporter) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reporter) enqueue(id api.DatasetID, eff effects, done chan<- error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.pending[id]
	if !ok {
		p = &pendingReport{}
		r.pending[id] = p
	}
	if done != nil { // only the one worker of a dataset sends effects, so they never mix
		p.effects = eff
		p.waiting = append(p.waiting, done)
	}
	r.wakeUp()
}

// run sends reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			r.flush(ctx)
		}
	}
}

func (r *reporter) flush(ctx context.Context) {
	r.mu.Lock()
	batch := r.pending
	r.pending = map[api.DatasetID]*pendingReport{}
	trouble := r.trouble
	r.mu.Unlock()

	current, err := r.session()
	if err == nil && current != r.on {
		r.accepted, r.told, r.on = map[api.DatasetID]api.DatasetState{}, nil, current
	}
	var report api.Report
	if trouble != r.told {
		report.Mesos = &api.MesosReport{Trouble: trouble}
	}
	for id, p := range batch {
		if part, ok := r.part(id, p); ok {
			report.Datasets = append(report.Datasets, part)
		}
	}
	if len(report.Datasets) == 0 && report.Mesos == nil {
		return
	}
	var reply *api.ReportReply
	if err == nil {
		reply, err = r.deliver(ctx, current, report)
	}
	r.remember(report, reply, err)
	for id, p := range batch {
		if p.waiting == nil {
			continue // a new stream begins with a report of everything
		}
		outcome := err
		if refused := refusal(reply, id); outcome == nil && refused != nil {
			outcome = refused
		}
		if outcome == nil {
			r.settle(id, p.effects)
		}
		for _, w := range p.waiting {
			w <- outcome
		}
	}
}

// part returns what is reported of a dataset, and false where that would tell
// the control service nothing: of those who do not hold a dataset it wants to
// hear nothing but effects, and each state once.
func (r *reporter) part(id api.DatasetID, p *pendingReport) (api.DatasetReport, bool) {
	state, ok := r.state(id)
	if p.waiting == nil {
		old, known := r.accepted[id]
		if !ok || state.Epoch == 0 || known && reflect.DeepEqual(old, state) {
			return api.DatasetReport{}, false
		}
	}
	if !ok {
		state = api.DatasetState{ID: id, Node: r.node, Phase: api.PhaseUnknown}
	}
	if p.effects.epoch != 0 {
		state.Epoch = p.effects.epoch
	}
	if p.effects.volume != nil || p.effects.release {
		// This report is the action: with it, it is done, and what failed is over.
		state.Action, state.Failure = "", nil
	}
	return api.DatasetReport{
		State: state, Volume: p.effects.volume, Release: p.effects.release,
		Withdraw: p.effects.withdraw, Destroyed: p.effects.destroyed, Fence: p.effects.fence,
		Free: p.effects.free,
	}, true
}

// remember notes which states the control service has by now.
func (r *reporter) remember(report api.Report, reply *api.ReportReply, err error) {
	if err != nil {
		r.accepted, r.on = nil, nil
		return
	}
	if report.Mesos != nil {
		r.told = report.Mesos.Trouble
	}
	for _, d := range report.Datasets {
		if refusal(reply, d.State.ID) != nil || d.Release || d.Free != 0 {
			delete(r.accepted, d.State.ID)
		} else {
			r.accepted[d.State.ID] = d.State
		}
	}
}

// deliver sends a report on one stream and no other. The epochs that it gives
// up are marked first, and only a later stream's welcome takes the mark back:
// it comes after the control service has stopped to listen to this one.
func (r *reporter) deliver(ctx context.Context, s Session, report api.Report) (*api.ReportReply, error) {
	for _, d := range report.Datasets {
		if d.Release {
			r.spend(d.State.ID, d.State.Epoch)
		}
	}
	return s.Report(ctx, report)
}

func refusal(reply *api.ReportReply, id api.DatasetID) *api.Error {
	if reply == nil {
		return nil
	}
	return reply.Refused[id]
}
