package cluster

import (
	"fmt"
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
	StatusFencing     Status = "fencing"     // the holder is lost, and another node keeps it from writing
	StatusUnreachable Status = "unreachable" // the holder's agent is not connected
	StatusFailing     Status = "failing"     // the holder has tried something and failed, or the mounted file system has
	StatusWaiting     Status = "waiting"     // a node that does not hold it wants it
	StatusMounted     Status = "mounted"
	StatusPreparing   Status = "preparing" // on its way to being mounted
	StatusReleasing   Status = "releasing" // on its way to being detached
	StatusDetached    Status = "detached"  // no node holds it
)

// LiveStatuses returns all that a dataset can be that is not deleted.
func LiveStatuses() []Status {
	return []Status{
		StatusFencing, StatusUnreachable, StatusFailing, StatusWaiting, StatusMounted, StatusPreparing, StatusReleasing, StatusDetached,
	}
}

// DeletedStatuses returns what deleted datasets mostly are.
func DeletedStatuses() []Status { return []Status{StatusDeleting, StatusDestroyed} }

// Explain returns the status of a dataset, and sentences for an operator. If something
// is wrong they begin with the cause, since when that is so, and the next try; then
// follow the place, the users, and what happens next. State is the last report of the
// dataset, and lease its lease; either may be nil, and so may mesos, which returns what
// Mesos says of a node's machine, and its result.
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
	st        *api.DatasetState // under the present token, or of the last user if no node holds it
	lease     *api.Lease
	node      func(api.NodeID) *api.Node
	mesos     func(api.NodeID) *api.MesosAgent // nil if Mesos is not asked
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
	lost := e.liveness(holder)
	failing := e.failure(holder, lost)
	failing = e.health() || failing
	e.place(holder)
	e.uses()
	e.doubt(holder)
	e.growth(holder)
	e.leased(lost)
	e.reclaimed()
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
			"The first node whose agent connects destroys it.", e.name(), e.inZone(), e.volume())
		return StatusDeleting
	}
	switch {
	case e.d.Volume == nil:
		e.say("%s is not in use and has no volume yet: one of %s is made at its first use at the latest.", e.name(), api.FormatSize(e.d.Size))
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
		"until then any other node gets it at once if it asks for it or it is moved there.", id)
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
		e.say("%s is attached to %s, but the device is not the expected one: it is left alone, so that no data is lost. "+
			"Check volume %s, %s.", name, on, e.volume(), since)
	case api.PhaseElsewhere:
		e.say("%s belongs to %s %s, but its volume %s is attached to another machine.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseVanished:
		e.say("%s belongs to %s %s, but its storage system does not know its volume %s any more. It is not made anew, since its data would be missing: "+
			"check the storage system.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseDetached:
		e.say("%s belongs to %s %s; its volume %s is not attached.", name, on, e.at(e.d.Holder.Since), e.volume())
	case api.PhaseNonExistent:
		e.say("%s belongs to %s %s; its volume does not exist yet.", name, on, e.at(e.d.Holder.Since))
	default:
		e.say("%s belongs to %s %s, which has not reported its state yet.", name, on, e.at(e.d.Holder.Since))
	}
}

// uses names the users of the dataset on its holder.
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
