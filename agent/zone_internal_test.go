package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// zoned is a backend that binds volumes to a zone, and shows some.
type zoned struct {
	plainBackend

	zone    string
	err     error
	volumes []backend.Volume
}

func (zoned) Properties() backend.Properties { return backend.Properties{Name: "cloud"} }

func (z zoned) Zone(context.Context) (string, error) { return z.zone, z.err }

func (z zoned) List(context.Context, ...string) ([]backend.Volume, error) { return z.volumes, nil }

func TestZoneIsTheBackendsOrWhatIsSet(t *testing.T) {
	broken := errors.New("no answer")
	for _, c := range []struct {
		name    string
		set     string
		backend backend.Backend
		want    zones
		err     string
	}{
		{"nobody knows", "", plainBackend{}, zones{}, ""},
		{"an operator knows", "a", plainBackend{}, zones{here: "a"}, ""},
		{"an operator knows, and the backend has no zones", "a", zoned{}, zones{here: "a"}, ""},
		{"the backend knows", "", zoned{zone: "a"}, zones{here: "a", binds: true}, ""},
		{"both say the same", "a", zoned{zone: "a"}, zones{here: "a", binds: true}, ""},
		{"they contradict each other", "b", zoned{zone: "a"}, zones{}, `zone: is set to "b", and by the backend cloud this machine is in zone "a"`},
		{"the backend cannot tell", "", zoned{err: broken}, zones{}, "ask cloud which zone this machine is in: no answer"},
	} {
		got, err := findZones(t.Context(), c.set, c.backend)
		if got != c.want || (err == nil) != (c.err == "") {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.err)
		}
	}
}

func TestVolumeOfAnotherZoneIsNeitherMissedNorTakenForAbsent(t *testing.T) {
	record := &api.Dataset{ID: "d", Volume: &api.Volume{ID: "v", Backend: "cloud", Zone: "a"}, Fence: &api.Fence{Instance: "i"}}
	here := zones{here: "b", binds: true}
	for name, b := range map[string]zoned{
		"which this node cannot see": {},
		"which this node sees":       {volumes: []backend.Volume{{ID: "v", DatasetID: "d", Zone: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stepper{backend: b, zones: here, root: &host.MountRoot{}, instance: "this machine"}
			seen, err := s.look(t.Context(), "d", record, sight{})
			if err != nil || seen.phase != api.PhaseElsewhere || !strings.Contains(seen.cause, `volume v is in zone a and this node in zone b`) {
				t.Errorf("got %+v, %v", seen, err)
			}
			if next(seen.phase, goalDestroyed, facts{}) == actRelease {
				t.Error("it is taken for destroyed")
			}
		})
	}
	s := &stepper{backend: zoned{}, zones: here, root: &host.MountRoot{}}
	if verdict, _, err := s.canWrite(t.Context(), record); err == nil || verdict != backend.MayWrite {
		t.Errorf("got %v, %v, want no word about who can write", verdict, err)
	}
	if err := s.cutOff(t.Context(), record); err == nil {
		t.Error("a fence is done that nobody could see")
	}
	s.zones = zones{here: "a", binds: true}
	if seen, err := s.look(t.Context(), "d", record, sight{}); err != nil || seen.phase != api.PhaseVanished {
		t.Errorf("got %+v, %v, want it to be missed in its own zone", seen, err)
	}
}

func TestVolumeIsRegisteredAgainWithItsZone(t *testing.T) {
	for name, c := range map[string]struct {
		seen, registered string
		want             action
	}{
		"known":                 {"a", "a", actNone},
		"not known yet":         {"a", "", actRegister},
		"of another name now":   {"b", "a", actRegister},
		"no longer told":        {"", "a", actNone},
		"of a storage of nodes": {"", "", actNone},
	} {
		f := facts{registered: true, filled: true, unplaced: unplaced(backend.Volume{Zone: c.seen}, &api.Volume{Zone: c.registered})}
		if got := next(api.PhaseMounted, goalMounted, f); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
