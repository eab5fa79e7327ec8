package agent

import "github.com/flocker-mesos/flocker/api"

// action is one step of a dataset on this node.
type action string

// The actions. Each is safe to run again after a crash at any instruction.
const (
	actNone     action = ""                    // as wanted
	actWait     action = "wait for the volume" // something else must change first
	actRefuse   action = "use the volume"      // never done: going on would risk data; a person must look
	actLook     action = "look"                // find out how far the dataset is on this node
	actClaim    action = "claim the dataset"   // ask the control service for the holder token
	actWithdraw action = "stop waiting"        // tell it that the token is no longer wanted
	actCreate   action = "create the volume"   //
	actAttach   action = "attach the volume"   //
	actFormat   action = "make a file system"  //
	actMount    action = "mount"               //
	actRegister action = "register the volume"
	actBind     action = "bind read-only"
	actView     action = "show it to its instance"
	actFree     action = "free the member" // of a set: tell the control service that its instance has ended
	actGrow     action = api.ActionGrow    // or have the kernel show that it has grown
	actGrowFS   action = api.ActionGrowFS  // to the size of the volume
	actUnmount  action = "unmount"
	actDetach   action = "detach the volume"
	actDestroy  action = "destroy the volume"
	actTrim     action = "trim"                // give its free blocks back to the storage
	actKeep     action = "keep its data"       // nothing but waiting: the storage has lost what is attached here
	actRelease  action = "release the dataset" // give up the holder token
	actFence    action = "fence the lost node" // see to it that the lost holder can no longer write
	actRenew    action = "mount it anew"       // take down a file system that has failed, and which nothing uses
	actRestore  action = "mount it again"      // after it was unmounted behind the agent's back
)

// goal is what this node should bring a dataset to.
type goal string

// The goals.
const (
	goalLeave     goal = "leave"     // not known: touch nothing
	goalMounted   goal = "mounted"   // this node holds it and uses it
	goalToken     goal = "token"     // this node would use it but does not hold it
	goalReleased  goal = "released"  // this node holds it and has no use for it
	goalGone      goal = "gone"      // neither held nor used here
	goalDestroyed goal = "destroyed" // deleted, and this node has to carry that out
	goalFenced    goal = "fenced"    // another node holds it, is lost, and has to be kept from it by this one
	goalYielded   goal = "yielded"   // as released, though it is in use: another node preempts
)

// facts are what next decides on beside the phase and the goal.
type facts struct {
	registered bool // the control service knows the volume
	waiting    bool // this node is in the queue for the token
	used       bool // by consumers on this node
	wantBind   bool // a read-only consumer needs the read-only view
	bound      bool // the read-only view is there
	wantViews  bool // consumers should see it at other places than they do, as a member of a set
	grows      bool // the volume is smaller than it should be, and the backend can grow it
	behind     bool // the device does not show yet that the volume has grown
	filled     bool // the file system is known to be as large as its device
	unreported bool // the control service does not know yet that the volume has grown
	unplaced   bool // it does not know in which zone the volume is
	foreign    bool // the volume is another dataset's
	care       care // what the health of the mounted file system asks for
	trims      bool // its free blocks should be given back
	lost       bool // the data of what is attached here ends with its device
}

// next is the whole of what decides what comes next.
//
//	             create      attach       format      mount     register
//	nonexistent ──────► detached ──► blank ─────► attached ──► mounted ──► (ready)
//	      ▲                ▲  ▲        │              │           │
//	      └── destroy ─────┘  └─ detach┴──────────────┘◄─ unmount ┘
//
// A volume grows while it is mounted: the volume, then the file system, then the
// control service hears of it. So what the control service knows of is done, and
// nobody has to look at a file system that has grown long ago. Nobody who wants to
// use it waits for that, so it comes after everything else. Only a device that an
// agent has left behind its volume is brought up to it before anything is done
// with it: a device that has another size than its volume could be something else.
//
// A volume that is registered has been formatted: if it is blank now, its data
// is gone, and formatting it would hide that. Such a device, and every other
// that is not what it should be, is PhaseForeign and never touched.
func next(phase api.Phase, g goal, f facts) action {
	if f.foreign {
		switch g {
		case goalMounted, goalDestroyed, goalReleased, goalYielded:
			return actRefuse
		default:
			phase = api.PhaseElsewhere // nothing of this dataset is here
		}
	}
	switch g {
	case goalLeave:
		return actNone
	case goalMounted:
		return up(phase, f)
	case goalToken:
		if phase == api.PhaseMounted && f.used {
			// The token is not this node's, and yet the storage system says
			// that the volume is attached here: so it is nowhere else. That is
			// so after the records were restored from a backup. Nothing is
			// taken from under its users while the token is asked for.
			return await(f)
		}
	}
	// For every other goal nothing may be attached here. If something is though
	// another node has the token, it was taken from this node: the same holds.
	if act := down(phase); act != actNone {
		return act
	}
	switch {
	case g == goalFenced:
		return actFence
	case g == goalToken:
		return await(f)
	case g == goalDestroyed && phase == api.PhaseDetached:
		return actDestroy
	case g == goalDestroyed && phase == api.PhaseElsewhere:
		return actWait
	case g == goalReleased || g == goalDestroyed || g == goalYielded:
		return actRelease
	case f.waiting: // gone
		return actWithdraw
	default:
		return actNone
	}
}

// await is the next step towards the token.
func await(f facts) action {
	if f.waiting {
		return actWait
	}
	return actClaim
}

// up is the next step towards mounted and ready.
func up(phase api.Phase, f facts) action {
	switch phase {
	case api.PhaseNonExistent:
		return actCreate
	case api.PhaseDetached, api.PhaseAttaching:
		return actAttach
	case api.PhaseBlank:
		if f.behind {
			return actGrow
		}
		return actFormat
	case api.PhaseAttached:
		if f.lost {
			return actKeep
		}
		if f.behind {
			return actGrow
		}
		return actMount
	case api.PhaseMounted:
		return mounted(f)
	case api.PhaseElsewhere:
		// This node holds the token, so whoever has the volume attached must
		// not: the storage system lags behind, or somebody interferes.
		return actWait
	case api.PhaseCut:
		return actUnmount
	default: // vanished, foreign
		return actRefuse
	}
}

// mounted is the next step of what is mounted and should be.
func mounted(f facts) action {
	switch {
	case f.lost:
		return actKeep
	case f.care.act != actNone || f.care.halt:
		return f.care.act
	case !f.registered:
		return actRegister
	case f.wantBind && !f.bound:
		return actBind
	case f.wantViews:
		return actView
	case f.grows || f.behind:
		return actGrow
	case f.unreported && !f.filled:
		return actGrowFS
	case f.unreported || f.unplaced:
		return actRegister
	case f.trims:
		return actTrim
	default:
		return actNone
	}
}

// down is the next step towards attached nowhere, actNone where it is.
func down(phase api.Phase) action {
	switch phase {
	case api.PhaseMounted, api.PhaseCut:
		return actUnmount
	case api.PhaseAttaching, api.PhaseBlank, api.PhaseForeign, api.PhaseAttached:
		return actDetach
	default:
		return actNone
	}
}

// mustLook reports whether the worker has to look before it takes the next step.
// In doubt, it looks at what is attached here, and at everything that it has
// to bring somewhere. What is not attached here may change as it likes while
// this node does not hold it: what was seen under another epoch does not count.
func mustLook(phase api.Phase, doubt, sameEpoch bool, g goal) bool {
	switch {
	case phase == api.PhaseUnknown:
		return true
	case phase == api.PhaseMounted && (g == goalToken || g == goalMounted):
		return doubt || !sameEpoch // somebody else may have had it since: is it attached here still?
	case down(phase) != actNone:
		return doubt
	default:
		return (doubt || !sameEpoch) && (g == goalMounted || g == goalReleased || g == goalDestroyed || g == goalYielded)
	}
}

// want is what decide needs to know of a dataset on this node.
type want struct {
	record    *api.Dataset // what the control service says, nil if the dataset is no concern of this node
	synced    bool         // the control service has been heard at least once
	consumers int          // on this node
	acquiring bool         // a front door is about to become a consumer
	spent     bool         // this node has sent the release of the token it holds, and does not know the outcome
	leased    bool         // this node has a lease of it
	mounted   bool         // it is mounted here
}

// decide says what node should bring the dataset to.
func decide(node api.NodeID, w want) goal {
	switch {
	case !w.synced:
		return goalLeave
	case w.acquiring && w.consumers == 0 && !w.spent:
		return goalLeave
	}
	d := w.record
	if d == nil || d.Destroyed {
		if w.consumers > 0 {
			return goalToken
		}
		return goalGone
	}
	switch {
	case d.FencedBy(node):
		return goalFenced
	case d.HeldBy(node):
		return decideHeld(d, node, w)
	case w.consumers > 0 && !d.Deleted:
		return goalToken
	default:
		return goalGone
	}
}

// decideHeld says what the holder should bring the dataset to.
func decideHeld(d *api.Dataset, node api.NodeID, w want) goal {
	switch {
	case d.Revoked():
		// This node was lost, and its tenure is over: whoever uses the volume
		// here asks anew.
		return goalReleased
	case w.spent:
		// Another node may have the token already. Whoever came meanwhile
		// gets a new one.
		return goalReleased
	case w.leased && w.mounted:
		// Somebody has said over the API that it is in use here. That keeps what
		// is mounted; it brings nothing up.
		return goalMounted
	case w.consumers > 0 && d.Preempted():
		return goalYielded
	case w.consumers > 0:
		return goalMounted
	case d.Deleted:
		return goalDestroyed
	case d.Pinned && d.Primary == node && len(d.Waiting) == 0:
		return goalMounted
	default:
		return goalReleased
	}
}
