package agent

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// TestNext has a row for every pair of phase and goal. What is not listed in a
// row of the table is a mistake of the table.
func TestNext(t *testing.T) {
	type row map[goal]action
	table := map[api.Phase]row{
		api.PhaseNonExistent: {
			goalLeave: actNone, goalMounted: actCreate, goalToken: actClaim,
			goalReleased: actRelease, goalGone: actNone, goalDestroyed: actRelease,
			goalFenced: actFence, goalYielded: actRelease,
		},
		api.PhaseVanished: {
			goalLeave: actNone, goalMounted: actRefuse, goalToken: actClaim,
			goalReleased: actRelease, goalGone: actNone, goalDestroyed: actRelease,
			goalFenced: actFence, goalYielded: actRelease,
		},
		api.PhaseDetached: {
			goalLeave: actNone, goalMounted: actAttach, goalToken: actClaim,
			goalReleased: actRelease, goalGone: actNone, goalDestroyed: actDestroy,
			goalFenced: actFence, goalYielded: actRelease,
		},
		api.PhaseElsewhere: {
			goalLeave: actNone, goalMounted: actWait, goalToken: actClaim,
			goalReleased: actRelease, goalGone: actNone, goalDestroyed: actWait,
			goalFenced: actFence, goalYielded: actRelease,
		},
		api.PhaseAttaching: {
			goalLeave: actNone, goalMounted: actAttach, goalToken: actDetach,
			goalReleased: actDetach, goalGone: actDetach, goalDestroyed: actDetach,
			goalFenced: actDetach, goalYielded: actDetach,
		},
		api.PhaseBlank: {
			goalLeave: actNone, goalMounted: actFormat, goalToken: actDetach,
			goalReleased: actDetach, goalGone: actDetach, goalDestroyed: actDetach,
			goalFenced: actDetach, goalYielded: actDetach,
		},
		api.PhaseForeign: {
			goalLeave: actNone, goalMounted: actRefuse, goalToken: actDetach,
			goalReleased: actDetach, goalGone: actDetach, goalDestroyed: actDetach,
			goalFenced: actDetach, goalYielded: actDetach,
		},
		api.PhaseAttached: {
			goalLeave: actNone, goalMounted: actMount, goalToken: actDetach,
			goalReleased: actDetach, goalGone: actDetach, goalDestroyed: actDetach,
			goalFenced: actDetach, goalYielded: actDetach,
		},
		api.PhaseMounted: {
			goalLeave: actNone, goalMounted: actRegister, goalToken: actUnmount,
			goalReleased: actUnmount, goalGone: actUnmount, goalDestroyed: actUnmount,
			goalFenced: actUnmount, goalYielded: actUnmount,
		},
		api.PhaseCut: {
			goalLeave: actNone, goalMounted: actUnmount, goalToken: actUnmount,
			goalReleased: actUnmount, goalGone: actUnmount, goalDestroyed: actUnmount,
			goalFenced: actUnmount, goalYielded: actUnmount,
		},
	}
	for phase, r := range table {
		if len(r) != 8 {
			t.Errorf("%s: %d goals in the table, want 8", phase, len(r))
		}
		for g, want := range r {
			if got := next(phase, g, facts{}); got != want {
				t.Errorf("next(%s, %s) = %q, want %q", phase, g, got, want)
			}
		}
	}
	if len(table) != 10 {
		t.Errorf("%d phases in the table, want 10", len(table))
	}
}

func TestNextHeedsTheFacts(t *testing.T) {
	for _, c := range []struct {
		name  string
		phase api.Phase
		goal  goal
		facts facts
		want  action
	}{
		{"a registered mount is done", api.PhaseMounted, goalMounted, facts{registered: true}, actNone},
		{"registration comes before the read-only view", api.PhaseMounted, goalMounted, facts{wantBind: true}, actRegister},
		{"a read-only consumer gets its view", api.PhaseMounted, goalMounted, facts{registered: true, wantBind: true}, actBind},
		{"the view is made once", api.PhaseMounted, goalMounted, facts{registered: true, wantBind: true, bound: true}, actNone},
		{"a volume that is too small grows", api.PhaseMounted, goalMounted, facts{registered: true, grows: true}, actGrow},
		{"registration comes before growing", api.PhaseMounted, goalMounted, facts{grows: true, behind: true}, actRegister},
		{"a read-only consumer does not wait for growing", api.PhaseMounted, goalMounted,
			facts{registered: true, wantBind: true, grows: true, unreported: true}, actBind},
		{"the volume grows before its file system", api.PhaseMounted, goalMounted,
			facts{registered: true, grows: true, unreported: true}, actGrow},
		{"a device that shows less than its volume is brought up to it", api.PhaseMounted, goalMounted,
			facts{registered: true, behind: true}, actGrow},
		{"the file system grows before that is told", api.PhaseMounted, goalMounted,
			facts{registered: true, unreported: true}, actGrowFS},
		{"what has grown is told", api.PhaseMounted, goalMounted, facts{registered: true, unreported: true, filled: true}, actRegister},
		{"what was told needs no look", api.PhaseMounted, goalMounted, facts{registered: true}, actNone},
		{"who waits claims no more", api.PhaseDetached, goalToken, facts{waiting: true}, actWait},
		{"who lost the token takes down first", api.PhaseMounted, goalToken, facts{waiting: true}, actUnmount},
		{"who still has it in use keeps it and asks", api.PhaseMounted, goalToken, facts{used: true}, actClaim},
		{"who still has it in use keeps it and waits", api.PhaseMounted, goalToken, facts{used: true, waiting: true}, actWait},
		{"what was cut is not kept", api.PhaseCut, goalToken, facts{used: true, waiting: true}, actUnmount},
		{"who has no use stops waiting", api.PhaseDetached, goalGone, facts{waiting: true}, actWithdraw},
	} {
		if got := next(c.phase, c.goal, c.facts); got != c.want {
			t.Errorf("%s: next = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDecide(t *testing.T) {
	const here, there = api.NodeID("here"), api.NodeID("there")
	held := func(by api.NodeID) *api.Dataset {
		return &api.Dataset{Primary: by, Holder: &api.Holder{Node: by, Epoch: 1}, Epoch: 1}
	}
	with := func(d *api.Dataset, change func(*api.Dataset)) *api.Dataset { change(d); return d }
	waiting := []api.Waiter{{Node: there}}
	for _, c := range []struct {
		name string
		want want
		goal goal
	}{
		{"before the control service was heard", want{record: held(here), consumers: 1}, goalLeave},
		{"held and used", want{synced: true, record: held(here), consumers: 1}, goalMounted},
		{"held and not used", want{synced: true, record: held(here)}, goalReleased},
		{"held and about to be used", want{synced: true, record: held(here), acquiring: true}, goalLeave},
		{"held and used, its release on the way", want{synced: true, record: held(here), consumers: 1, spent: true}, goalReleased},
		{"pinned here", want{synced: true, record: with(held(here), func(d *api.Dataset) { d.Pinned = true })}, goalMounted},
		{"pinned here, another node waits", want{synced: true, record: with(held(here), func(d *api.Dataset) {
			d.Pinned, d.Waiting = true, waiting
		})}, goalReleased},
		{"pinned elsewhere", want{synced: true, record: with(held(here), func(d *api.Dataset) {
			d.Pinned, d.Primary = true, there
		})}, goalReleased},
		{"moved away but used", want{synced: true, consumers: 1, record: with(held(here), func(d *api.Dataset) {
			d.Pinned, d.Primary = true, there
		})}, goalMounted},
		{"deleted", want{synced: true, record: with(held(here), func(d *api.Dataset) { d.Deleted = true })}, goalDestroyed},
		{"deleted but used", want{synced: true, consumers: 1, record: with(held(here), func(d *api.Dataset) {
			d.Deleted = true
		})}, goalMounted},
		{"held by a lost node, to be fenced by this one", want{synced: true, consumers: 1, record: with(held(there), func(d *api.Dataset) {
			d.Fence = &api.Fence{Node: here, Holder: there}
		})}, goalFenced},
		{"taken from this node while it was lost", want{synced: true, consumers: 1, record: with(held(here), func(d *api.Dataset) {
			d.Fence = &api.Fence{Node: there, Holder: here, Begun: true}
		})}, goalReleased},
		{"held, and not taken yet", want{synced: true, consumers: 1, record: with(held(here), func(d *api.Dataset) {
			d.Fence = &api.Fence{Node: there, Holder: here}
		})}, goalMounted},
		{"preempted while used", want{synced: true, consumers: 1, record: with(held(here), func(d *api.Dataset) {
			d.Waiting = []api.Waiter{{Node: there, Preempt: true}}
		})}, goalYielded},
		{"used, held elsewhere", want{synced: true, record: held(there), consumers: 1}, goalToken},
		{"not used, held elsewhere", want{synced: true, record: held(there)}, goalGone},
		{"used, deleted elsewhere", want{synced: true, consumers: 1, record: with(held(there), func(d *api.Dataset) {
			d.Deleted = true
		})}, goalGone},
		{"no concern of this node", want{synced: true}, goalGone},
		{"used, no longer of concern", want{synced: true, consumers: 1}, goalToken},
	} {
		if got := decide(here, c.want); got != c.goal {
			t.Errorf("%s: decide = %s, want %s", c.name, got, c.goal)
		}
	}
}

func TestMustLook(t *testing.T) {
	for _, c := range []struct {
		name      string
		phase     api.Phase
		doubt     bool
		sameEpoch bool
		goal      goal
		want      bool
	}{
		{"never seen", api.PhaseUnknown, false, true, goalToken, true},
		{"as it was left", api.PhaseMounted, false, true, goalMounted, false},
		{"a step failed", api.PhaseAttached, true, true, goalMounted, true},
		{"a step failed, not wanted any more", api.PhaseAttached, true, true, goalGone, true},
		{"mounted under an earlier epoch", api.PhaseMounted, false, false, goalMounted, true},
		{"mounted, and another node has the token", api.PhaseMounted, false, false, goalToken, true},
		{"another node may have had it", api.PhaseDetached, false, false, goalMounted, true},
		{"another node has it", api.PhaseElsewhere, false, false, goalToken, false},
		{"given back", api.PhaseDetached, true, true, goalGone, false},
	} {
		if got := mustLook(c.phase, c.doubt, c.sameEpoch, c.goal); got != c.want {
			t.Errorf("%s: mustLook = %v, want %v", c.name, got, c.want)
		}
	}
}

// TestNothingGrowsThatIsNotInUseHere has all reasons to grow at once, in every
// phase and with every goal.
func TestNothingGrowsThatIsNotInUseHere(t *testing.T) {
	all := facts{registered: true, grows: true, behind: true, unreported: true}
	phases := []api.Phase{
		api.PhaseNonExistent, api.PhaseVanished, api.PhaseDetached, api.PhaseElsewhere, api.PhaseAttaching, api.PhaseBlank,
		api.PhaseForeign, api.PhaseAttached, api.PhaseMounted, api.PhaseCut,
	}
	goals := []goal{goalLeave, goalMounted, goalToken, goalReleased, goalGone, goalDestroyed, goalFenced, goalYielded}
	for _, phase := range phases {
		for _, g := range goals {
			for _, used := range []bool{false, true} {
				f := all
				f.used = used
				got := next(phase, g, f)
				grows := got == actGrow || got == actGrowFS
				// Where it is not mounted, its device is brought up to the volume.
				want := g == goalMounted && (phase == api.PhaseMounted || phase == api.PhaseAttached || phase == api.PhaseBlank)
				if grows != want {
					t.Errorf("next(%s, %s) with all reasons to grow = %q, want growing: %t", phase, g, got, want)
				}
				if plain := next(phase, g, facts{registered: true, used: used}); !want && got != plain {
					t.Errorf("next(%s, %s) with all reasons to grow = %q, without %q", phase, g, got, plain)
				}
			}
		}
	}
	for _, phase := range []api.Phase{api.PhaseAttached, api.PhaseBlank} {
		f := all
		f.behind = false
		if got := next(phase, goalMounted, f); got != actMount && got != actFormat {
			t.Errorf("%s: next = %q before those who wait for the volume have it", phase, got)
		}
	}
}
