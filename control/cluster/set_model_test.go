package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// modelConsumer is a consumer of a member of a set, as its agent knows it.
type modelConsumer struct {
	id       string
	set      string
	instance string
	member   api.DatasetID // "" while it waits
}

// modelContainer is what runs, or is about to. It ends without its agent hearing
// of it at once.
type modelContainer struct {
	node     api.NodeID
	set      string
	instance string
	member   api.DatasetID // that it has seen
	waited   bool
	ended    bool
	known    bool // by its agent, on disk
	tried    bool // to be launched again
}

func newModelAgent(node api.NodeID) *modelAgent {
	return &modelAgent{
		node: node, identity: "agent-" + string(node), wants: map[api.DatasetID]bool{},
		hints:    map[api.DatasetID]*modelHint{},
		claiming: map[string]*modelConsumer{}, disk: map[string]*modelConsumer{},
	}
}

// modelEach is how many members each set may have. What Marathon says of it comes
// late, and changes.
const modelEach = 3

var modelSets = []string{"kafka", "zoo"}

// endOn ends all containers of a machine that has lost its power.
func (w *world) endOn(node api.NodeID) {
	for _, c := range w.containers {
		if c.node == node {
			c.ended = true
		}
	}
}

// inUse reports whether a container on a node keeps a member from being unmounted.
func (w *world) inUse(node api.NodeID, id api.DatasetID) bool {
	for _, c := range w.containers {
		if c.node == node && c.member == id && !c.ended {
			return true
		}
	}
	return false
}

// used reports whether an agent knows of somebody for whom a member has to be there:
// whom it belongs to, or who still sees it.
func (a *modelAgent) used(w *world, id api.DatasetID) bool {
	if u := a.view[id].UserOn(a.node); u != nil && a.disk[u.Consumer] != nil && a.disk[u.Consumer].member == id {
		return true
	}
	return w.inUse(a.node, id)
}

// member has an agent see to whose member a dataset is, and reports whether that
// is all that it does.
func (w *world) member(a *modelAgent, d *api.Dataset) bool {
	u := d.UserOn(a.node)
	if u == nil || a.stream == 0 {
		return false
	}
	c := a.disk[u.Consumer]
	switch {
	case a.claiming[u.Consumer] != nil:
		return true
	case c == nil || c.set != d.Member.Set || c.member != "" && c.member != d.ID:
		w.send(a, cluster.Report{At: w.now, Node: a.node, Stream: a.stream, Datasets: []api.DatasetReport{
			{State: api.DatasetState{ID: d.ID}, Free: u.Claim},
		}})
		return true
	case c.member == "":
		w.claimMember(a, c)
		return true
	}
	return false
}

// serve has the one consumer see what its node has mounted that the member is
// given to, unless another one is still there: here it is checked that nobody else
// sees it.
func (w *world) serve(a *modelAgent, d *api.Dataset) {
	u := d.UserOn(a.node)
	if u == nil || a.disk[u.Consumer] == nil || a.disk[u.Consumer].member != d.ID {
		return
	}
	for _, c := range a.disk {
		if c.id != u.Consumer && w.containers[c.id].member == d.ID {
			return // which keeps its view of it until it has ended
		}
	}
	mine := w.containers[u.Consumer]
	if mine.ended {
		return
	}
	for id, c := range w.containers {
		if id != u.Consumer && c.member == d.ID && !c.ended {
			w.t.Fatalf("dataset %s, %s, is seen by %s on %s and now by %s on %s", d.ID, d.Member, id, c.node, u.Consumer, a.node)
		}
	}
	if mine.member != "" && mine.member != d.ID {
		w.t.Fatalf("%s sees dataset %s and then %s", u.Consumer, mine.member, d.ID)
	}
	if mine.member == "" {
		w.seen["served"]++
		if d.Member.Last != "" && d.Member.Last == u.Instance {
			w.seen["found again by the next attempt of its instance"]++
		}
		if mine.waited {
			w.seen["served to who waited"]++
		}
		if h := w.s.Hint(d.ID); h.For(a.node) && u.Instance != "" && api.InstanceOf(h.Instance) == u.Instance {
			w.seen["served what was on its way"]++
		}
	}
	mine.member = d.ID
}

// reclaim has an agent ask anew for a member that somebody there uses and that
// was taken away.
func (w *world) reclaim(a *modelAgent, id api.DatasetID) bool {
	for _, c := range a.disk {
		if c.member == id && a.stream != 0 {
			if d := a.view[id]; d.UserOn(a.node) == nil || d.UserOn(a.node).Consumer != c.id {
				w.claimMember(a, c)
				return true
			}
		}
	}
	return false
}

// seek has an agent ask for what its consumers wait for, and have lost.
func (w *world) seek(a *modelAgent) {
	for _, id := range slices.Sorted(maps.Keys(a.disk)) {
		c := a.disk[id]
		if u := a.view[c.member].UserOn(a.node); a.stream != 0 && (u == nil || u.Consumer != id) {
			w.claimMember(a, c)
		}
	}
}

func (w *world) claimMember(a *modelAgent, c *modelConsumer) {
	w.send(a, cluster.ClaimMember{
		At: w.now, Node: a.node, Stream: a.stream, Consumer: c.id, Instance: c.instance, Find: api.DatasetSpec{Name: c.set},
		Each: modelEach, ID: c.member, NewID: w.newID(), DefaultSize: api.MinSize,
	})
}

// answered has an agent take the answer to a claim of a member. Without one, the
// container is not launched.
func (w *world) answered(a *modelAgent, m message, out cluster.Outcome, err error, answered bool) {
	claim, ok := m.cmd.(cluster.ClaimMember)
	if !ok || a.stream != m.stream {
		return
	}
	id := claim.Consumer
	c := a.disk[id]
	if starting := a.claiming[id]; starting != nil {
		delete(a.claiming, id)
		if err != nil || !answered {
			w.containers[id].ended = true
			return
		}
		c = starting
		a.disk[id] = c
		w.containers[id].known = true
	}
	if c == nil || err != nil || !answered || c.member != claim.ID {
		return // nobody waits for the answer to what was asked before the consumer had its member
	}
	if out.Dataset == nil {
		if _, waits := out.Set.Waits(a.node, id); !waits {
			w.t.Fatalf("%s got no member and does not wait: %+v", id, out.Set)
		}
		w.seen["waited for"]++
		w.containers[id].waited = true
		return
	}
	if c.member != "" && c.member != out.Dataset.ID {
		w.t.Fatalf("%s has dataset %s and was given %s", id, c.member, out.Dataset.ID)
	}
	c.member = out.Dataset.ID
	w.see(a, out.Dataset.ID)
}

func (w *world) anyContainer(t *rapid.T, which func(*modelContainer) bool) string {
	var ids []string
	for id, c := range w.containers {
		if which(c) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Skip("no such container")
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "container")
}

// setActions are what happens to sets, among what happens to any dataset.
func (w *world) setActions() map[string]func(*rapid.T) {
	all := w.actions()
	actions := map[string]func(*rapid.T){}
	for _, name := range []string{
		"agent gets on", "agent gets on2", "agent gets on3", "agent gets on4", "agent steps", "agent hears", "agent hears all", "agent restarts",
		"agent connects", "node is lost", "machine dies", "dead machines are lost", "machine boots", "operator gives a dead node up", "operator drains",
		"upkeep", "message arrives", "message arrives twice", "message is lost", "move", "delete", "silent node acts late", "user acquires a lease",
		"user releases a lease", "rename",
	} {
		actions[name] = all[name]
		if actions[name] == nil {
			w.t.Fatalf("there is no action %q", name)
		}
	}
	start := func(t *rapid.T) {
		a := w.anyAgent(t)
		live := 0
		for _, c := range w.containers {
			if !c.ended {
				live++
			}
		}
		if a.stream == 0 || w.dead[a.node] || live > modelEach+2 {
			t.Skip("no agent to ask")
		}
		w.nextID++
		id := fmt.Sprintf("c%d", w.nextID)
		c := &modelConsumer{id: id, set: modelSets[0]}
		if rapid.IntRange(0, 4).Draw(t, "other set") == 0 {
			c.set = modelSets[1]
		}
		if again := w.givenUp(a); again != "" && rapid.Bool().Draw(t, "again") {
			c.id, c.set = again, w.containers[again].set // as a launch that is tried again
			id = again
		}
		// Marathon starts the next attempt of an instance when the last one has ended.
		instance := modelInstance(c.set, rapid.IntRange(0, modelEach).Draw(t, "instance"))
		for d := range w.s.Members(c.set) { // it does so where it said
			if h := w.s.Hint(d.ID); h.Live(w.now) && h.Node == a.node && !h.Make {
				instance = api.InstanceOf(h.Instance)
			}
		}
		taken := false
		for _, other := range w.containers {
			taken = taken || other.instance == instance && !other.ended
		}
		if !taken {
			c.instance = instance
		}
		w.containers[id] = &modelContainer{node: a.node, set: c.set, instance: c.instance, tried: w.containers[id] != nil}
		a.claiming[id] = c
		w.claimMember(a, c)
		if n := len(w.net); rapid.IntRange(0, 3).Draw(t, "delayed") > 0 {
			m := w.net[n-1]
			w.net = w.net[:n-1]
			w.deliver(m, true)
		}
	}
	end := func(t *rapid.T) {
		w.containers[w.anyContainer(t, func(c *modelContainer) bool { return !c.ended })].ended = true
	}
	hear := func(t *rapid.T) {
		id := w.anyContainer(t, func(c *modelContainer) bool { return c.ended && c.known })
		a := w.agents[w.containers[id].node]
		w.forget(a, id)
	}
	actions["launch is tried again"] = func(t *rapid.T) { w.launchAgain(w.anyAgent(t)) }
	actions["instance starts"], actions["instance starts2"], actions["instance starts3"] = start, start, start
	actions["instance ends"] = end
	actions["agent hears of an end"], actions["agent hears of an end2"] = hear, hear
	actions["agent asks again"] = func(t *rapid.T) {
		a := w.anyAgent(t)
		w.seek(a)
	}
	actions["launch is given up"] = func(t *rapid.T) {
		a := w.anyAgent(t)
		for _, id := range slices.Sorted(maps.Keys(a.claiming)) {
			delete(a.claiming, id)
			w.containers[id].ended = true
		}
	}
	actions["Marathon counts"] = func(t *rapid.T) {
		_, _ = w.apply(cluster.SetMembers{At: w.now, Name: modelSets[0], Count: rapid.IntRange(-1, modelEach).Draw(t, "instances")})
	}
	actions["Marathon stages"], actions["Marathon stages2"], actions["Marathon stages3"] = w.stageInstances, w.stageInstances, w.stageInstances
	actions["volumes are made ahead"], actions["agent follows a hint"] = w.makeAhead, w.followHint
	actions["log is restored"] = w.restore
	return actions
}

// launchAgain has a launch whose first answer gets lost, and that is tried again
// just when the agent has sent that nobody has the member.
func (w *world) launchAgain(a *modelAgent) {
	if a.stream == 0 || w.dead[a.node] || len(w.containers) > 30 {
		return
	}
	w.nextID++
	c := &modelConsumer{id: fmt.Sprintf("c%d", w.nextID), set: modelSets[0]}
	launch := func(answered bool) {
		w.containers[c.id], a.claiming[c.id] = &modelContainer{node: a.node, set: c.set, tried: true}, c
		w.claimMember(a, c)
		n := len(w.net)
		m := w.net[n-1]
		w.net = w.net[:n-1]
		w.deliver(m, answered)
	}
	launch(false)
	for d := range w.s.Members(c.set) {
		if u := d.UserOn(a.node); u == nil || u.Consumer != c.id || a.claiming[c.id] != nil {
			continue
		}
		w.member(a, d)
		n := len(w.net)
		late := w.net[n-1]
		w.net = w.net[:n-1]
		launch(true)
		w.deliver(late, true)
		w.seen["launched again"]++
		return
	}
}

// givenUp returns a consumer of a node that never became a container, "" if there is
// none.
func (w *world) givenUp(a *modelAgent) string {
	for _, id := range slices.Sorted(maps.Keys(w.containers)) {
		if c := w.containers[id]; c.node == a.node && c.ended && !c.known && c.member == "" && !c.tried && a.disk[id] == nil && a.claiming[id] == nil {
			c.tried = true
			return id
		}
	}
	return ""
}

// forget has an agent hear that a container has ended.
func (w *world) forget(a *modelAgent, id string) {
	if c := a.disk[id]; c != nil && c.member == "" && a.stream != 0 {
		w.send(a, cluster.LeaveSet{At: w.now, Node: a.node, Stream: a.stream, Consumer: id, Set: c.set})
	}
	delete(a.disk, id)
	w.containers[id].known = false
}

// endAllServed ends what has had its turn, and all launches.
func (w *world) endAllServed() {
	for id, c := range w.containers {
		a := w.agents[c.node]
		delete(a.claiming, id)
		if c.member != "" || !c.known {
			c.ended = true
		}
		if c.ended {
			w.forget(a, id)
		}
	}
}

// serveAll has an agent ask for what its consumers wait for, and ends what has been
// served.
func (w *world) serveAll(a *modelAgent) {
	w.seek(a)
	for _, m := range w.net {
		w.deliver(m, true)
	}
	w.net = nil
	for _, id := range slices.Sorted(maps.Keys(a.disk)) {
		c := a.disk[id]
		if c.member == "" {
			continue
		}
		if d := w.s.Dataset(c.member); d != nil && d.Deleted {
			w.containers[id].ended = true
			w.forget(a, id)
			continue
		}
		for range 4 {
			w.see(a, c.member)
			w.step(a, c.member)
			for _, m := range w.net {
				w.deliver(m, true)
			}
			w.net = nil
		}
		if w.containers[id].member != "" {
			w.containers[id].ended = true
			w.forget(a, id)
		}
	}
}

// checkUsers checks that no command takes a member from a container that is alive and
// that its agent knows of, unless its node is lost, or was and is being fenced; and
// from one that sees it never.
func (w *world) checkUsers(old *cluster.State, cmd cluster.Command) {
	for was := range old.Datasets() {
		if was.Member == nil || was.Member.User == nil {
			continue
		}
		u, is := was.Member.User, w.s.Dataset(was.ID)
		if now := is.UserOn(u.Node); now != nil && now.Consumer == u.Consumer || is.Destroyed {
			continue
		}
		c := w.containers[u.Consumer]
		if c.ended {
			continue
		}
		k := w.agents[u.Node].disk[u.Consumer]
		known := k != nil && (k.member == was.ID || k.member == "" && !was.Deleted)
		if c.member == was.ID || known && !w.s.Node(u.Node).Lost() && !old.Node(u.Node).Lost() && !was.Revoked() {
			w.t.Fatalf("%T took %s from %s on %s, which is alive, for %+v", cmd, was.Member, u.Consumer, u.Node, is.Member.User)
		}
	}
}

// checkServed checks that everybody who waited for a member has had one, and that
// nobody has one for ever.
func (w *world) checkServed() {
	for _, a := range w.agents {
		for id, c := range a.disk {
			if w.zones.unservable(w, a, c) {
				continue
			}
			w.t.Fatalf("consumer %s on %s still waits for a member of %s: %+v, %+v, %s", id, a.node, c.set, *c, w.s.Set(c.set), dump(w.s)[cluster.DatasetKey(c.member)])
		}
	}
	for set := range w.s.Sets() {
		if len(set.Waiting) > 0 && w.zones == nil {
			w.t.Fatalf("all have ended, and still %v wait for members of %s", set.Waiting, set.Name)
		}
	}
	for d := range w.s.Datasets() {
		if d.Member == nil || d.Deleted || w.inVain(d.Member.User) {
			continue
		}
		if d.Member.User != nil || d.Member.Sought {
			w.t.Fatalf("all have ended, and %s is still %+v's: %s", d.Member, d.Member.User, dump(w.s)[cluster.DatasetKey(d.ID)])
		}
	}
}

// inVain reports whether a user is a consumer that cannot have the member in its zone,
// and has yet to give up.
func (w *world) inVain(u *api.MemberUser) bool {
	if u == nil {
		return false
	}
	a := w.agents[u.Node]
	c := a.disk[u.Consumer]
	return c != nil && w.zones.unservable(w, a, c)
}

func TestNoTwoLiveInstancesSeeOneMemberOfASet(t *testing.T) {
	liveThroughAll(t, (*world).setActions, []string{
		"served", "waited for", "served to who waited", "found again by the next attempt of its instance", "handed over", "taken from a lost node",
		"restored", "launched again", "freed from a lost node for who waits",
		"expected", "claimed because of a hint", "refused to a hint", "served what was on its way", "followed what its predecessor leaves", "made ahead",
	})
}
