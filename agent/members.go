package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// What follows is how consumers get the members of volume sets. All that a consumer
// asks for are claimed one after the other, in the order of their keys: the first
// decides by which number the container goes, and the others are the members with
// the same. So an instance that has one volume for its data and one for its log
// always finds those two together.

// seekEvery is how often the control service is asked again for a member that a
// consumer waits for. It tells by the stream when there is one: this is for what a
// control service that was restored from a backup does not know of.
const seekEvery = 30 * time.Second

// members tells when there may be news of the members that consumers wait for.
type members struct {
	woken chan struct{} // holds one token while somebody should look

	mu      sync.Mutex
	changed chan struct{}     // closed, and replaced, when a consumer has got one or ended, or why it waits has changed
	why     map[string]string // why consumers wait, by their ids
}

func newMembers() *members {
	return &members{woken: make(chan struct{}, 1), changed: make(chan struct{}), why: map[string]string{}}
}

// wake has somebody look whether there are members for those who wait. It never
// blocks.
func (m *members) wake() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

func (m *members) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

// explain notes why a consumer waits, "" when it does no longer.
func (m *members) explain(consumer, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if why == "" {
		delete(m.why, consumer)
	} else {
		m.why[consumer] = why
	}
}

func (m *members) look(consumer string) (why string, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why[consumer], m.changed
}

// pending reports whether a consumer waits for a member of a set.
func (c *consumer) pending() bool { return slices.ContainsFunc(c.Volumes, consumedVolume.pending) }

// claimMembers claims what a consumer asks for of volume sets, and fills that in:
// what else is among its volumes is another goroutine's.
func (v *Volumes) claimMembers(ctx context.Context, req api.AcquireRequest, volumes []consumedVolume) error {
	var members []consumedVolume
	var places []int
	for i, want := range req.Volumes {
		if want.Each == 0 {
			continue
		}
		places = append(places, i)
		members = append(members, consumedVolume{
			Key: want.Key, Name: want.Name, ReadOnly: want.ReadOnly, User: want.User, Permissions: want.Permissions, Options: want.Options,
			Owner: req.Owner,
			Member: &consumedMember{
				Set: api.DatasetSpec{Name: want.Name, Size: want.Size, FS: want.FS, Profile: want.Profile, User: want.User, Permissions: want.Permissions,
					App: api.NamedAfter(req.App, want.Key, want.Name)},
				Each: want.Each, Instance: req.Instance, View: memberView(req.Consumer, want.Name, want.ReadOnly, want.Options),
			},
		})
	}
	var err error
	if req.Hurry && len(members) > 0 {
		err = v.control.reachable()
	}
	if err == nil {
		err = v.resolve(ctx, req.Consumer, members)
	}
	for i, place := range places {
		volumes[place] = members[i]
	}
	return err
}

// resolve finds out, as far as it can be by now, which members a consumer has.
func (v *Volumes) resolve(ctx context.Context, id string, volumes []consumedVolume) error {
	var index *int
	for i := range volumes {
		vol := &volumes[i]
		if vol.Member == nil {
			continue
		}
		if !vol.pending() && v.engine.lost(id, *vol) {
			reply, err := v.control.Member(ctx, vol.request(id, nil))
			if err != nil {
				return fmt.Errorf("volume %s (%s): %w", vol.Name, vol.Key, err)
			}
			if reply.Dataset == nil {
				v.members.explain(id, reply.Why)
				return nil
			}
			v.engine.learn(reply.Dataset)
		}
		if !vol.pending() {
			if _, number, ok := api.ParseMemberName(vol.Name); ok && index == nil {
				index = &number
			}
			continue
		}
		reply, err := v.control.Member(ctx, vol.request(id, index))
		if err != nil {
			return fmt.Errorf("volume %s (%s): %w", vol.Name, vol.Key, err)
		}
		if reply.Dataset == nil {
			v.members.explain(id, reply.Why)
			return nil // the others are claimed when its number is known
		}
		number := reply.Dataset.Member.Index
		if index == nil {
			index = &number
		}
		v.engine.learn(reply.Dataset)
		vol.Dataset, vol.Name = reply.Dataset.ID, api.MemberName(vol.Member.Set.Name, number)
	}
	v.members.explain(id, "")
	return nil
}

// request asks for a member for a consumer: for that of a number, where it has one of
// another set.
func (v consumedVolume) request(consumer string, index *int) api.MemberRequest {
	return api.MemberRequest{
		Consumer: consumer, Instance: v.Member.Instance, Set: v.Member.Set, Each: v.Member.Each, Index: index, ID: v.Dataset,
		Owner: v.Owner,
	}
}

// seek looks for members for those who wait, whenever there may be any, until ctx
// ends.
func (v *Volumes) seek(ctx context.Context) {
	again := time.NewTicker(seekEvery)
	defer again.Stop()
	v.members.wake()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.members.woken:
		case <-again.C:
		}
		for _, c := range v.journal.all() {
			if !c.pending() && !v.lost(c) {
				continue
			}
			if err := v.seekFor(ctx, c.ID); err != nil && ctx.Err() == nil {
				v.members.explain(c.ID, "the control service was asked for a member of a volume set, and refused: "+err.Error())
				v.members.announce()
				v.log.Warn("no member of a volume set for a consumer, will ask again", "consumer", c.ID, "cause", err, "next_try", seekEvery)
			}
		}
	}
}

// seekFor looks for the members that one consumer waits for. What it gets is on disk
// before anything is done with it.
func (v *Volumes) seekFor(ctx context.Context, id string) error {
	unlock, err := v.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	old := v.journal.get(id)
	if old == nil || !old.pending() && !v.lost(old) {
		return nil
	}
	asked := time.Now()
	c := *old
	c.Volumes = slices.Clone(old.Volumes)
	resolveErr := v.resolve(ctx, id, c.Volumes)
	defer v.members.announce()
	if slices.Equal(c.Volumes, old.Volumes) {
		return resolveErr
	}
	for _, vol := range c.Volumes {
		if err := v.makeMountPoints(vol); err != nil {
			return errors.Join(resolveErr, err)
		}
	}
	if err := v.journal.put(&c); err != nil {
		return errors.Join(resolveErr, err)
	}
	came := consumer{Consumer: c.Consumer}
	for i, vol := range c.Volumes {
		if old.Volumes[i].pending() && !vol.pending() {
			came.Volumes = append(came.Volumes, vol)
		}
	}
	v.engine.addConsumer(&came, asked)
	v.log.Info("consumer got a member of a volume set", "consumer", id, "volumes", names(c.Volumes))
	return resolveErr
}

// awaitMember waits until it is known which member one of a consumer's volumes is.
func (v *Volumes) awaitMember(
	ctx context.Context, id string, volume int, limit <-chan time.Time, progress func(string),
) (*consumer, error) {
	told := ""
	for {
		why, changed := v.members.look(id)
		c := v.journal.get(id)
		if c == nil {
			return nil, api.Errorf(api.CodeNotFound, "consumer %s was released while it waited", id)
		}
		vol := c.Volumes[volume]
		if !vol.pending() {
			return c, nil
		}
		if why == "" {
			why = "it is about to be found out which member of the volume set it is"
		}
		if why != told {
			told = why
			progress(fmt.Sprintf("volume %s (%s): %s Waiting, for %s at the most.", vol.Name, vol.Key, sentence(why), v.waitLimit))
		}
		select {
		case <-changed:
		case <-limit:
			return nil, api.Errorf(api.CodeUnavailable, "volume %s (%s) is not ready after %s: %s", vol.Name, vol.Key, v.waitLimit, why)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leave tells the control service that a consumer waits no longer, as far as it can
// be told now: it finds out by itself when the consumer's turn comes.
func (v *Volumes) leave(ctx context.Context, c *consumer) {
	v.members.explain(c.ID, "")
	for _, vol := range c.Volumes {
		if vol.Member == nil {
			continue
		}
		if !vol.pending() {
			continue
		}
		v.removeView(vol.Member.View)
		if v.journal.usesMember(api.RootConsumer(c.ID), vol.Member.Set.Name, "") {
			continue // another container of the same pod
		}
		req := vol.request(c.ID, nil)
		req.Leave = true
		if _, err := v.control.Member(ctx, req); err != nil {
			v.log.Info("could not tell that a consumer waits no longer for a member of a volume set", "consumer", c.ID, "set", vol.Member.Set.Name, "cause", err)
		}
	}
}

func (v *Volumes) removeView(name string) { v.engine.stepper.removeView(name) }

// sentence ends a text as a sentence ends.
func sentence(text string) string {
	if text[len(text)-1] == '.' {
		return text
	}
	return text + "."
}

// lost reports whether a consumer has been given a member that is no longer its own:
// its node was taken for lost meanwhile, or the control service restored from a backup.
func (v *Volumes) lost(c *consumer) bool {
	return slices.ContainsFunc(c.Volumes, func(vol consumedVolume) bool { return v.engine.lost(c.ID, vol) })
}

func (e *engine) lost(id string, vol consumedVolume) bool {
	if vol.Member == nil || vol.pending() {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.synced && !e.owns(e.track(vol.Dataset), id)
}

// What follows is what the engine knows of members. The caller has the mutex.

// owns reports whether a member belongs to a container here.
func (e *engine) owns(d *dataset, consumer string) bool {
	u := d.record.UserOn(e.node)
	return u != nil && u.Consumer == api.RootConsumer(consumer)
}

// counted returns how many consumers a dataset has for which it has to be here: of
// members, those that it belongs to, and those that see it still.
func (e *engine) counted(d *dataset) int {
	n := 0
	var there []string
	for id, v := range d.consumers {
		if v.Member != nil && !e.owns(d, id) {
			if there == nil {
				there = e.stepper.views.on(d.seen.mounted)
			}
			if !slices.Contains(there, v.Member.View) {
				continue
			}
		}
		n++
	}
	return n
}

// bereft reports whether a member has consumers here that it does not belong to.
func (e *engine) bereft(d *dataset) bool {
	for id, v := range d.consumers {
		if v.Member != nil && !e.owns(d, id) {
			return true
		}
	}
	return false
}

// ownerless reports whether a member of a set belongs to a container of this node
// that is no consumer: it has ended, or was never launched.
func (e *engine) ownerless(d *dataset) bool {
	u := d.record.UserOn(e.node)
	return u != nil && !d.record.Destroyed && e.roots[u.Consumer] == 0 && !e.stepper.journal.usesMember(u.Consumer, d.record.Member.Set, d.id)
}

// expected reports whether a member of a set belongs to a container of this node that
// has yet to be told of it.
func (e *engine) expected(d *dataset) bool {
	u := d.record.UserOn(e.node)
	if u == nil {
		return false
	}
	for id := range d.consumers {
		if e.owns(d, id) {
			return false
		}
	}
	return e.roots[u.Consumer] > 0 || e.stepper.journal.usesMember(u.Consumer, d.record.Member.Set, d.id)
}

// others reports whether a member is seen by others here than the container that it
// belongs to. They keep what they see until they end; so whom it belongs to now has
// to wait.
func (e *engine) others(d *dataset) bool {
	there := e.stepper.views.on(d.seen.mounted)
	for id, v := range d.consumers {
		if v.Member == nil || !e.owns(d, id) && slices.Contains(there, v.Member.View) {
			return true
		}
	}
	return false
}

// wantedViews returns the views of a dataset that there should be, in order: those
// with mount options, and for a member of a set those that consumers have, and that of
// the consumer to which it belongs, if it is alone.
func (e *engine) wantedViews(d *dataset) []string {
	if len(d.consumers) == 0 {
		return nil
	}
	there, alone := e.stepper.views.on(d.seen.mounted), !e.others(d)
	var want []string
	for id, v := range d.consumers {
		if v.aside { // the owners of its views are unknown
			return there
		}
		view := v.view()
		if view == "" || slices.Contains(want, view) {
			continue
		}
		if v.Member == nil || e.owns(d, id) && alone || slices.Contains(there, view) {
			want = append(want, view)
		}
	}
	slices.Sort(want)
	return want
}

// wakeMembers has the datasets looked at that belong to a container.
func (e *engine) wakeMembers(root string) {
	for _, d := range e.datasets {
		if u := d.record.UserOn(e.node); u != nil && u.Consumer == root {
			e.wake(d)
		}
	}
}

// claim asks for the token of a dataset, because of a hint where nobody uses it here,
// and where it is a member of a set, that it
// belongs to who uses it here.
func (e *engine) claim(ctx context.Context, d *dataset) (*api.Dataset, error) {
	e.mu.Lock()
	var req *api.MemberRequest
	ahead := len(d.consumers) == 0 // there is a hint
	owner := api.Anyone
	for id, v := range d.consumers {
		if owner == api.Anyone || d.record != nil && d.record.OpenTo(v.Owner) {
			owner = v.Owner // any of them may use it
		}
		if v.Member != nil && (req == nil || e.owns(d, id)) {
			r := v.request(id, nil)
			req = &r
		}
	}
	e.mu.Unlock()
	if req == nil {
		return e.control.Claim(ctx, api.ClaimRequest{ID: d.id, Ahead: ahead, Owner: owner})
	}
	reply, err := e.control.Member(ctx, *req)
	if err != nil {
		return nil, err
	}
	if reply.Dataset == nil {
		return nil, api.Errorf(api.CodeConflict, "another instance has the member by now: %s", reply.Why)
	}
	return reply.Dataset, nil
}
