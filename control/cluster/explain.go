package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Status is one word for how a dataset is.
type Status string

// The statuses. Where several fit, the first counts.
const (
	StatusDestroyed   Status = "destroyed"   // deleted, and the volume is gone
	StatusDeleting    Status = "deleting"    // deleted, the volume is still there
	StatusFencing     Status = "fencing"     // the holder is lost, and another node sees to it that it cannot write
	StatusUnreachable Status = "unreachable" // the holder's agent is not connected
	StatusFailing     Status = "failing"     // the holder has tried something and failed, or the mounted file system has
	StatusWaiting     Status = "waiting"     // a node wants it that does not hold it
	StatusMounted     Status = "mounted"
	StatusPreparing   Status = "preparing" // on its way to being mounted
	StatusReleasing   Status = "releasing" // on its way to being detached
	StatusDetached    Status = "detached"  // nobody holds it
)

// LiveStatuses returns all that a dataset can be that is not deleted.
func LiveStatuses() []Status {
	return []Status{
		StatusFencing, StatusUnreachable, StatusFailing, StatusWaiting, StatusMounted, StatusPreparing, StatusReleasing, StatusDetached,
	}
}

// DeletedStatuses returns what deleted datasets mostly are.
func DeletedStatuses() []Status { return []Status{StatusDeleting, StatusDestroyed} }

// Explain says how a dataset is: in one word, and in sentences that tell a
// person who waits for it what is, since when, and what happens next. State is
// what was last reported of it, and lease the lease of it; either may be nil. So
// may mesos, which tells what Mesos says of a node's machine, or what it returns.
// It needs nothing but its arguments.
func Explain(d *api.Dataset, st *api.DatasetState, lease *api.Lease, node func(api.NodeID) *api.Node,
	mesos func(api.NodeID) *api.MesosAgent, now time.Time,
) (Status, string) {
	e := explanation{d: d, lease: lease, node: node, mesos: mesos, now: now}
	if d.Holder == nil || st != nil && ofTenure(d, st) {
		e.st = st
	}
	status := e.explain()
	return status, strings.Join(e.sentences, " ")
}

// explanation is an explanation that is being written.
type explanation struct {
	d         *api.Dataset
	st        *api.DatasetState // under the present token, or of the last user where nobody holds it
	lease     *api.Lease
	node      func(api.NodeID) *api.Node
	mesos     func(api.NodeID) *api.MesosAgent // nil where nobody asks Mesos
	now       time.Time
	sentences []string
}

func (e *explanation) say(format string, args ...any) {
	e.sentences = append(e.sentences, fmt.Sprintf(format, args...))
}

func (e *explanation) explain() Status {
	switch {
	case e.d.Destroyed:
		e.say("%s was deleted and its volume was destroyed %s. Its name is free again.", e.name(), e.ago(e.d.DestroyedAt))
		return StatusDestroyed
	case e.d.Blocked != "" && !e.d.Deleted:
		e.say("%s has no volume yet: %s.", e.name(), e.d.Blocked)
		e.uses()
		return StatusWaiting
	case e.d.Holder == nil:
		return e.unheld()
	}
	holder := e.node(e.d.Holder.Node)
	if holder == nil {
		return e.stranger()
	}
	e.place(holder)
	e.uses()
	e.doubt(holder)
	ill := e.health()
	e.growth(holder)
	lost := e.liveness(holder)
	e.leased(lost)
	e.reclaimed()
	failing := e.failure(lost) || ill
	waiting := e.queue()
	e.outlook(holder, lost, failing, waiting)
	switch {
	case e.d.Deleted:
		return StatusDeleting
	case e.d.Fence != nil:
		return StatusFencing
	case lost:
		return StatusUnreachable
	case failing:
		return StatusFailing
	case waiting:
		return StatusWaiting
	case e.st != nil && e.st.Phase == api.PhaseMounted:
		return StatusMounted
	case e.wanted():
		return StatusPreparing
	default:
		return StatusReleasing
	}
}

// unheld explains a dataset that no node holds.
func (e *explanation) unheld() Status {
	if e.d.Deleted {
		e.say("%s was deleted, but no node%s could be asked to destroy its volume %s. "+
			"The first one does whose agent connects.", e.name(), e.inZone(), e.volume())
		return StatusDeleting
	}
	switch {
	case e.d.Volume == nil:
		e.say("%s is not in use and has no volume yet: one of %s is made when it is first used at the latest.", e.name(), api.FormatSize(e.d.Size))
	case e.st != nil:
		e.say("%s is not in use: its volume %s is attached nowhere. %s used it last and gave it up %s.",
			e.name(), e.volume(), e.nodeName(e.st.Node), e.ago(e.st.Since))
	default:
		e.say("%s is not in use: its volume %s is attached nowhere.", e.name(), e.volume())
	}
	e.growth(nil)
	e.leased(false)
	e.reclaimed()
	e.say("The first node%s that asks for it gets it.", e.inZone())
	e.keptInZone()
	return StatusDetached
}

// stranger explains a dataset that was put on a node that has never been there.
func (e *explanation) stranger() Status {
	id := e.d.Holder.Node
	e.say("%s was put on node %s %s, but no agent has ever connected as that node.", e.name(), id, e.ago(e.d.Holder.Since))
	e.say("It gets there when the agent with the certificate of node %s connects; "+
		"until then any other node that asks for it, or that it is moved to, gets it at once.", id)
	if e.d.Deleted {
		return StatusDeleting
	}
	return StatusWaiting
}

// place says where the dataset is and how far it is there.
func (e *explanation) place(holder *api.Node) {
	name, on := e.name(), nodeText(holder)
	if e.d.Deleted {
		name += " was deleted. It"
	}
	if e.st == nil {
		e.say("%s was given to %s %s, which has not reported about it yet.", name, on, e.ago(e.d.Holder.Since))
		return
	}
	since := e.at(e.st.Since)
	if e.outside(holder) {
		return
	}
	switch e.st.Phase {
	case api.PhaseMounted:
		e.say("%s is mounted on %s at %s %s.", name, on, e.st.Path, since)
	case api.PhaseAttached:
		e.say("%s is attached to %s but not mounted %s.", name, on, since)
	case api.PhaseBlank:
		e.say("%s is attached to %s and has no file system yet.", name, on)
	case api.PhaseAttaching:
		e.say("%s is attached to %s, but the kernel there does not show the device of volume %s yet, %s.", name, on, e.volume(), since)
	case api.PhaseCut:
		e.say("%s is mounted on %s, but the storage system has taken its volume %s away from there, %s: what is written there is lost.",
			name, on, e.volume(), since)
	case api.PhaseForeign:
		e.say("%s is attached to %s, but the device is not what it should be: nothing is done with it, so that no data is lost. "+
			"A person must look at volume %s, %s.", name, on, e.volume(), since)
	case api.PhaseElsewhere:
		e.say("%s belongs to %s %s, but its volume %s is attached to another machine.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseVanished:
		e.say("%s belongs to %s %s, but its storage system does not know its volume %s any more. It is not made anew, since its data would be missing: "+
			"a person must look.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseDetached:
		e.say("%s belongs to %s %s; its volume %s is not attached.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseNonExistent:
		e.say("%s belongs to %s %s; its volume does not exist yet.", name, on, e.at(e.d.Holder.Since))
	default:
		e.say("%s belongs to %s %s, which has not found out yet how far it is.", name, on, e.at(e.d.Holder.Since))
	}
}

// uses says who uses the dataset on its holder.
func (e *explanation) uses() {
	if e.st == nil {
		return
	}
	users, verb := e.st.Consumers, "used"
	if e.st.Phase != api.PhaseMounted {
		verb = "wanted"
	}
	switch len(users) {
	case 0:
		if e.st.Phase == api.PhaseMounted && !e.stays() && !e.kept() {
			e.say("Nothing uses it there any more.")
		}
	case 1:
		e.say("It is %s there by %s %s.", verb, consumerText(users[0]), e.at(users[0].Since))
	default:
		const shown = 3
		texts := make([]string, 0, shown)
		for _, c := range users[:min(shown, len(users))] {
			texts = append(texts, consumerText(c)+" "+e.at(c.Since))
		}
		more := ""
		if rest := len(users) - len(texts); rest > 0 {
			more = fmt.Sprintf(" and %d more", rest)
		}
		e.say("It is %s there by %s%s.", verb, strings.Join(texts, ", "), more)
	}
}

// doubt says that it is not known whether containers still use it.
func (e *explanation) doubt(holder *api.Node) {
	if e.st == nil || holder.MesosTrouble == nil || holder.Lost() || !slices.ContainsFunc(e.st.Consumers, func(c api.Consumer) bool { return c.Kind == api.ConsumerMesos }) {
		return
	}
	t := holder.MesosTrouble
	e.say("The agent of %s cannot tell %s which containers Mesos still runs, so it keeps the volume even if they have ended without a cleanup: %s.",
		holder.Name(), e.at(t.Since), t.Cause)
}

// health says what is wrong with the mounted file system, and reports whether anything
// is.
func (e *explanation) health() bool {
	if e.st == nil || e.st.Health == nil {
		return false
	}
	h := e.st.Health
	cause := h.Cause
	if cause == "" {
		cause = "its file system is " + string(h.Kind)
	}
	e.say("%s, %s.", strings.ToUpper(cause[:1])+strings.TrimRight(cause[1:], ". \n"), e.at(h.Since))
	if h.Remedy != "" {
		e.say("%s.", strings.TrimRight(h.Remedy, ". \n"))
	}
	return true
}

// growth says that the volume is to become larger, and how far that is. Whoever
// uses it goes on to do so meanwhile. The holder is nil where there is none.
func (e *explanation) growth(holder *api.Node) {
	volume, action := e.d.Volume, ""
	if e.st != nil && holder != nil {
		action = e.st.Action
	}
	pending := volume != nil && volume.Size > 0 && volume.Size < e.d.Size
	if e.d.Deleted || !pending && action != api.ActionGrow && action != api.ActionGrowFS {
		return
	}
	// The volume may have grown already, and that is reported with its file system.
	mounted := e.st != nil && e.st.Phase == api.PhaseMounted
	what := ": that is done when it is mounted next."
	switch {
	case action == api.ActionGrowFS:
		what = ": its volume has grown, and its file system is next."
	case action == api.ActionGrow:
		what = ": its volume is next, and then its file system."
	case holder != nil && !holder.NeverCame() && !canGrow(holder):
		what = fmt.Sprintf(", but the backend %s of %s, as its agent says, cannot make volumes larger.", holder.Backend, holder.Name())
	case mounted && holder.Lost():
		what = fmt.Sprintf(": that is done when the agent of %s is back.", holder.Name())
	case mounted && e.stays() || mounted && len(e.st.Consumers) > 0:
		what = fmt.Sprintf(": %s is about to do that.", holder.Name())
	}
	from, to := "", e.d.Size
	if pending {
		from = "from " + sizeText(volume.Size) + " "
	} else {
		to = max(to, e.st.Size) // somebody made it larger by other means
	}
	e.say("It is to grow %sto %s%s", from, sizeText(to), what)
}

// liveness says so when the holder's agent is not there.
func (e *explanation) liveness(holder *api.Node) (lost bool) {
	if holder.Connected {
		return false
	}
	e.say("The agent of %s has not been heard %s.", holder.Name(), e.at(holder.Since))
	if !holder.GivenUp.IsZero() {
		e.say("An operator gave the machine up for lost %s.", e.ago(holder.GivenUp))
	}
	if e.mesos != nil {
		e.evidence(e.mesos(holder.ID))
	}
	return true
}

// leased says who has a lease of it, and what comes of that.
func (e *explanation) leased(lost bool) {
	if e.lease == nil {
		return
	}
	who := "A lease of " + e.nodeName(e.lease.Node)
	if e.lease.Expires.IsZero() {
		who += " that does not expire"
	} else {
		who += " until " + stamp(e.lease.Expires) + in(e.lease.Expires.Sub(e.now))
	}
	switch {
	case !e.kept():
		e.say("%s has no effect: it is not mounted there.", who)
	case lost || e.d.Revoked():
		e.say("%s keeps no other node from fencing it.", who)
	default:
		e.say("%s keeps it there.", who)
	}
}

// reclaimed says that it is to be deleted, and how that can be taken back.
func (e *explanation) reclaimed() {
	r := e.d.Reclaim
	if r == nil || e.d.Deleted {
		return
	}
	when := "at " + stamp(r.At) + in(r.At.Sub(e.now))
	if !r.At.After(e.now) {
		when = "as soon as Marathon has been read, and nobody uses it"
	}
	e.say("Its app %s was destroyed %s, and by what the app says it is deleted %s. flocker volumes undelete keeps it.", r.App, e.ago(r.Since), when)
}

// kept reports whether a lease keeps it mounted on its holder.
func (e *explanation) kept() bool {
	return e.d.Holder != nil && e.lease.HeldBy(e.d.Holder.Node) && e.st != nil && e.st.Phase == api.PhaseMounted
}

// failure says what has failed last, and when it is tried again. It reports
// whether something is wrong. With the agent of the holder away, lost is true: when it
// tries again is not known.
func (e *explanation) failure(lost bool) bool {
	if e.st == nil {
		return false
	}
	f := e.st.Failure
	if f == nil {
		return e.st.Phase == api.PhaseVanished || e.st.Phase == api.PhaseForeign
	}
	times := "once"
	if f.Attempts > 1 {
		times = fmt.Sprintf("%d times", f.Attempts)
	}
	next := "It is not tried again before something changes."
	switch {
	case lost:
		next = "It is tried again when that agent is back, if it is still needed."
	case !f.NextTry.IsZero():
		next = fmt.Sprintf("The next try is at %s%s.", stamp(f.NextTry), in(f.NextTry.Sub(e.now)))
	}
	action := f.Action
	if action == "" {
		action = "bring it up"
	}
	e.say("Its next step there, to %s, has failed %s %s: %s. %s", action, times, e.at(f.Since), strings.TrimRight(f.Cause, ". \n"), next)
	return true
}

// queue says who waits for the dataset.
func (e *explanation) queue() (waiting bool) {
	const shown = 3
	texts := make([]string, 0, shown)
	for _, w := range e.d.Waiting[:min(shown, len(e.d.Waiting))] {
		texts = append(texts, e.nodeName(w.Node)+" "+e.at(w.Since))
	}
	rest := ""
	if n := len(e.d.Waiting) - len(texts); n > 0 {
		rest = fmt.Sprintf(" and %d more", n)
	}
	switch len(texts) {
	case 0:
	case 1:
		e.say("It is waited for by %s.", texts[0])
	default:
		e.say("It is waited for by %s%s, in this order.", strings.Join(texts, ", "), rest)
	}
	switch {
	case e.moving():
		e.say("A user has moved it to %s.", e.nodeName(e.d.Primary))
	case e.strayed():
		e.say("A user has put it on %s, which is in zone %s: it can never be there. Move it to a node of zone %s.",
			e.nodeName(e.d.Primary), e.node(e.d.Primary).Zone, e.d.Volume.Zone)
	}
	return len(texts) > 0 || e.moving()
}

// outlook says what happens next, and what a person can do where nothing does
// by itself.
func (e *explanation) outlook(holder *api.Node, lost, failing, waiting bool) {
	name := holder.Name()
	used := e.st != nil && len(e.st.Consumers) > 0
	if e.d.Fence != nil {
		e.fence(name)
		return
	}
	if lost {
		e.silence(name)
		return
	}
	switch {
	case e.kept() && (e.d.Deleted || waiting):
		e.heldUp(name, used)
	case e.d.Deleted && used:
		e.say("%s destroys the volume when the last of its users there has ended.", name)
	case e.d.Deleted:
		e.say("%s is about to unmount, detach and destroy the volume.", name)
	case waiting:
		e.handOver(name, used)
	case failing:
	case e.st == nil || e.st.Phase == api.PhaseMounted:
		if e.st != nil && !used && !e.stays() && !e.kept() {
			e.say("%s is about to unmount and detach it.", name)
		}
	case e.st.Action != "":
		e.say("%s is about to %s.", name, e.st.Action)
	}
}

// handOver says when the next node gets it.
func (e *explanation) handOver(holder string, used bool) {
	next := e.nodeName(e.next())
	if e.d.Preempted() && used {
		e.say("%s preempts: the users on %s are asked to end, and are killed when they take too long.", next, holder)
	}
	condition := holder + " has unmounted and detached the volume, which it is about to do"
	if used {
		condition = "the last of its users there has ended and the volume is unmounted and detached"
	}
	e.say("%s gets it as soon as %s.", next, condition)
}

// silence says what a lost holder means that nobody fences.
func (e *explanation) silence(holder string) {
	what := "its containers may still be running and writing, so no other node gets the volume"
	if e.d.Deleted {
		what = "it may still be writing, so the volume is not destroyed"
	}
	if wantedElsewhere(e.d) {
		e.say("No other node%s with the same storage system is there to keep %s from writing, and until then %s.", e.inZone(), holder, what)
		return
	}
	e.say("While %s is silent %s. That goes on when its agent is back: start it, or see to the machine. "+
		"When another node asks for it, that one fences %s first.", holder, what, holder)
}

// heldUp says what a lease on the holder holds up, and how to end that.
func (e *explanation) heldUp(holder string, used bool) {
	ended := "the lease has"
	if used {
		ended = "the lease and the last of its users there have"
	}
	if e.d.Deleted {
		e.say("%s destroys the volume when %s ended.", holder, ended)
	} else {
		e.say("%s gets it as soon as %s ended and the volume is unmounted and detached.", e.nodeName(e.next()), ended)
	}
	name := e.d.Name()
	if name == "" || e.d.Deleted { // the name may be another's by now
		name = string(e.d.ID)
	}
	e.say("Release it: flocker leases release %s.", name)
}

// fence says how far the fencing of the lost holder is.
func (e *explanation) fence(holder string) {
	f := e.d.Fence
	by := e.nodeName(f.Node)
	switch {
	case f.Begun:
		e.say("%s takes the volume away from %s, whose tenure has ended, %s.", by, holder, e.at(f.Since))
	case f.Finding == "":
		e.say("%s looks whether %s can still write to it, %s.", by, holder, e.at(f.Since))
	case f.Policy == api.FenceWait:
		e.say("%s finds that %s may still be writing, %s: %s. It is not taken from it before that ends: see to the machine. If it is off, say so: flocker nodes lost %s.",
			by, holder, e.at(f.Since), f.Finding, holder)
	default:
		e.say("%s is to fence %s (%s) %s: %s.", by, holder, f.Policy, e.at(f.Since), f.Finding)
	}
	switch {
	case e.d.Deleted:
	case len(e.d.Waiting) == 0 && e.d.Member != nil && e.d.Member.Sought:
		e.say("Then the instance gets it that has waited longest for a member of %s.", e.d.Member.Set)
	default:
		e.say("Then %s gets it.", e.nodeName(e.next()))
	}
}

// next returns who gets the token when the holder gives it up.
func (e *explanation) next() api.NodeID {
	if len(e.d.Waiting) > 0 {
		return e.d.Waiting[0].Node
	}
	return e.d.Primary
}

// moving reports whether a user has moved it to a node that does not hold it.
func (e *explanation) moving() bool {
	return e.away() && !e.apart(e.d.Primary)
}

// away reports whether a user has put it on a node that does not hold it.
func (e *explanation) away() bool {
	return !e.d.Deleted && e.d.Pinned && !e.d.HeldBy(e.d.Primary) && !e.d.AwaitedBy(e.d.Primary)
}

// stays reports whether it stays mounted on its holder though nothing uses it.
func (e *explanation) stays() bool {
	return !e.d.Deleted && e.d.Pinned && e.d.HeldBy(e.d.Primary) && len(e.d.Waiting) == 0
}

// wanted reports whether its holder is bringing it up and not down.
func (e *explanation) wanted() bool {
	return e.st == nil || len(e.st.Consumers) > 0 || e.stays()
}

// name names the dataset.
func (e *explanation) name() string { return "Dataset " + nameOf(e.d) }

func (e *explanation) volume() string {
	if e.d.Volume == nil {
		return "(not registered yet)"
	}
	return e.d.Volume.ID
}

func (e *explanation) nodeName(id api.NodeID) string {
	if n := e.node(id); n != nil {
		return n.Name()
	}
	return "node " + string(id)
}

// at says since when: "since 2026-03-01T10:00:00Z (3m10s)".
func (e *explanation) at(t time.Time) string {
	if t.IsZero() {
		return "since an unknown time"
	}
	return "since " + stamp(t) + " (" + age(e.now.Sub(t)) + ")"
}

// ago says when: "at 2026-03-01T10:00:00Z (3m10s ago)".
func (e *explanation) ago(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return "at " + stamp(t) + " (" + age(e.now.Sub(t)) + " ago)"
}

// consumerText names a consumer: "container abc of app /db".
func consumerText(c api.Consumer) string {
	kind := c.Kind
	switch kind {
	case api.ConsumerMake:
		return "app " + c.App + ", for which its volume is made ahead of the first instance,"
	case api.ConsumerMesos:
		kind = "container"
	case api.ConsumerHint:
		kind = "a container that Marathon is about to start there,"
	case api.ConsumerUnreadable:
		return "container " + c.ID + ", whose file on the node cannot be read (" + c.SetAside + "): remove that when the container has ended"
	case api.ConsumerCSI:
		return "containers that have it through CSI (" + c.ID + ")"
	}
	text := strings.TrimSpace(kind + " " + c.ID)
	if c.App != "" {
		text += " of app " + c.App
	}
	if c.ReadOnly {
		text += ", read-only,"
	}
	if c.SetAside != "" {
		text += ", whose file on the node cannot be read (" + c.SetAside + "),"
	}
	return text
}

// nodeText names a node so that a person finds it: "node-a (192.0.2.10)".
func nodeText(n *api.Node) string {
	if n.Address == "" || n.Address == n.Name() {
		return n.Name()
	}
	return n.Name() + " (" + n.Address + ")"
}

// nodeText names a node by its id.
func (s *State) nodeText(id api.NodeID) string {
	if n := s.Node(id); n != nil {
		return n.Name()
	}
	return "node " + string(id)
}

// stamp writes a time as all texts do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age writes a duration as people read it: 8s, 3m10s, 5h4m, 3d4h.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < day:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

// in says how far off a time is: " (in 8s)", nothing where it has passed.
func in(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return " (in " + age(max(d, time.Second)) + ")"
}
