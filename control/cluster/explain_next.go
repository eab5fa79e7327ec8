package cluster

import (
	"fmt"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// growth says that the volume is to become larger, and how far that is. Its users go on
// meanwhile. The holder is nil if no node holds it.
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
		to = max(to, e.st.Size) // it was made larger by other means
	}
	e.say("It is to grow %sto %s%s", from, sizeText(to), what)
}

// leased names the lease's node, and the effect of the lease.
func (e *explanation) leased(lost bool) {
	if e.lease == nil {
		return
	}
	lease := "A lease of " + e.nodeName(e.lease.Node)
	if e.lease.Expires.IsZero() {
		lease += " that does not expire"
	} else {
		lease += " until " + stamp(e.lease.Expires) + in(e.lease.Expires.Sub(e.now))
	}
	switch {
	case !e.kept():
		e.say("%s has no effect: it is not mounted there.", lease)
	case lost || e.d.Revoked():
		e.say("%s keeps no other node from fencing it.", lease)
	default:
		e.say("%s keeps it there.", lease)
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
		when = "as soon as Marathon has been read and nothing uses it"
	}
	e.say("Its app %s was destroyed %s; as the app's labels say, it is deleted %s. To keep it: flocker volumes undelete.", r.App, e.ago(r.Since), when)
}

// kept reports whether a lease keeps it mounted on its holder.
func (e *explanation) kept() bool {
	return e.d.Holder != nil && e.lease.HeldBy(e.d.Holder.Node) && e.st != nil && e.st.Phase == api.PhaseMounted
}

// queue names the nodes that wait for the dataset.
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

// outlook says what happens next, and what an operator can do if nothing happens by
// itself.
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

// next returns the node that gets the token when the holder gives it up.
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
