package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// others is a storage system whose one volume belongs to another dataset than the
// records say. It notes what would touch the volume.
type others struct {
	backend.Backend

	owner, attached string
	touched         []string
}

func (o *others) touch(what string) error {
	o.touched = append(o.touched, what)
	return nil
}

func (o *others) Properties() backend.Properties {
	return backend.Properties{Name: "cloud", AllocationUnit: 1}
}

func (o *others) volume() backend.Volume {
	return backend.Volume{ID: "vol", DatasetID: o.owner, AttachedTo: o.attached, Size: 1}
}

func (o *others) List(context.Context, ...string) ([]backend.Volume, error) {
	return []backend.Volume{o.volume()}, nil
}

func (o *others) Create(context.Context, backend.CreateRequest) (backend.Volume, error) {
	return o.volume(), nil
}
func (o *others) Destroy(context.Context, string) error        { return o.touch("destroy") }
func (o *others) Attach(context.Context, string, string) error { return o.touch("attach") }
func (o *others) Detach(context.Context, string, string, backend.DetachMode) error {
	return o.touch("detach")
}

func (o *others) Device(context.Context, string) (backend.Device, error) {
	return backend.Device{}, o.touch("device")
}

func (o *others) Grow(context.Context, string, int64) (backend.Volume, error) {
	return backend.Volume{}, o.touch("grow")
}

func (o *others) CanWrite(context.Context, string, string) (backend.Verdict, string, error) {
	return backend.CannotWrite, "", o.touch("can write")
}
func (o *others) AttachUnder(context.Context, string, string, uint64) error {
	return o.touch("attach under")
}
func (o *others) Seal(context.Context, string, uint64) error { return o.touch("seal") }
func (o *others) StopInstance(context.Context, string) error { return o.touch("stop") }

func TestAVolumeOfAnotherDatasetIsNeverTouched(t *testing.T) {
	for _, owner := range []string{"victim", "", "D", "d "} {
		for _, attached := range []string{"", "here", "elsewhere"} {
			t.Run("of "+owner+" attached to "+attached, func(t *testing.T) {
				storage := &others{owner: owner, attached: attached}
				s := &stepper{log: slog.New(slog.DiscardHandler), backend: storage, grower: storage, stopper: storage, instance: "here"}
				record := &api.Dataset{ID: "d", Size: 1, Volume: &api.Volume{ID: "vol", Backend: "cloud", Size: 1}}
				check := func(what string, err error) {
					t.Helper()
					if foreign, ok := errors.AsType[*backend.ForeignVolumeError](err); !ok || foreign.Owner != owner || !isFinal(err) {
						t.Errorf("%s: got %v, want a final *ForeignVolumeError", what, err)
					}
				}
				seen, err := s.look(t.Context(), "d", record, sight{})
				if err != nil || seen.phase != api.PhaseForeign || !strings.Contains(seen.cause, "is registered for dataset d") {
					t.Errorf("look: got %+v, %v, want it foreign and explained", seen, err)
				}
				check("look", &stuckError{seen: seen, final: true})
				if seen, err = s.create(t.Context(), "d", record); err != nil || seen.foreign == nil {
					t.Errorf("create: got %+v, %v, want it foreign", seen, err)
				}
				for _, act := range []action{actAttach, actFormat, actMount, actBind, actGrow, actGrowFS, actDetach, actDestroy} {
					_, err := s.do(t.Context(), act, "d", record, sight{volume: storage.volume(), phase: api.PhaseAttached})
					check(string(act), err)
				}
				for _, policy := range []api.FencePolicy{api.FenceWait, api.FenceStop, api.FenceForce} {
					record.Fence = &api.Fence{Instance: attached, Policy: policy}
					check("may fence", s.mayFence(t.Context(), record))
					for _, vouched := range []bool{false, true} {
						record.Fence.Vouched = vouched
						check("cut off", s.cutOff(t.Context(), record))
					}
				}
				if len(storage.touched) > 0 {
					t.Errorf("the volume was touched: %q", storage.touched)
				}
			})
		}
	}
}

func TestNothingFollowsOnAVolumeOfAnotherDataset(t *testing.T) {
	for g, want := range map[goal]action{
		goalLeave: actNone, goalMounted: actRefuse, goalDestroyed: actRefuse, goalReleased: actRefuse, goalYielded: actRefuse,
		goalGone: actNone, goalToken: actClaim, goalFenced: actFence,
	} {
		if got := next(api.PhaseForeign, g, facts{foreign: true, registered: true}); got != want {
			t.Errorf("next(%s) = %q, want %q", g, got, want)
		}
	}
}

func TestAVolumeOfAnotherBackendIsNotTakenForGone(t *testing.T) {
	s := &stepper{log: slog.New(slog.DiscardHandler), backend: &nothing{}, instance: "here"}
	record := &api.Dataset{ID: "d", Deleted: true, Volume: &api.Volume{ID: "vol", Backend: "other"},
		Fence: &api.Fence{Instance: "i-lost"}}
	seen, err := s.look(t.Context(), "d", record, sight{})
	if err != nil || seen.phase != api.PhaseElsewhere || next(seen.phase, goalDestroyed, facts{}) != actWait {
		t.Errorf("got %+v, %v, want it elsewhere and waited for", seen, err)
	}
	if err := s.mayFence(t.Context(), record); err == nil {
		t.Error("the tenure may be ended")
	}
	if err := s.cutOff(t.Context(), record); err == nil {
		t.Error("it is taken to be cut off")
	}
}

// nothing is a storage system without volumes.
type nothing struct{ backend.Backend }

func (nothing) Properties() backend.Properties { return backend.Properties{Name: "cloud"} }

func (nothing) List(context.Context, ...string) ([]backend.Volume, error) { return nil, nil }
