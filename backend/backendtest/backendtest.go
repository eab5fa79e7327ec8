// Package backendtest is the suite that a backend passes, or it is not one:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, backendtest.Harness{New: newStorage, Devices: true})
//	}
//
// It knows nothing of any storage system. What a driver or the place of its
// test can't do (no real devices behind a fake cloud), the Harness says.
package backendtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/backend"
)

// Harness is what the suite must know of a driver.
type Harness struct {
	// New makes a storage without volumes, which is gone after the test.
	New func(t *testing.T) Storage

	// Devices says that both instances show attached volumes as real block
	// devices on the machine of the test. It must run as root.
	Devices bool
	// ForcedCuts says that a forced detach succeeds although the instance
	// still uses the device. Without it, it must give ErrInUse.
	ForcedCuts bool
	// Size is that of the volumes in bytes; 0 for 64 MiB.
	Size int64
	// Rounds is how often races are run; 0 for 50.
	Rounds int
	// Patience is how long the storage may take to show what it did; 0 for
	// ten seconds.
	Patience time.Duration
}

// Storage is a storage system that two machines use.
type Storage interface {
	// Open starts a driver as the agent of machine 0 or 1 does. Called again
	// for the same machine, it is as after a restart of the agent.
	Open(t *testing.T, machine int) backend.Backend
	// Leftovers tells what there is, in the storage and on this machine, that
	// should be gone when all volumes are destroyed.
	Leftovers(t *testing.T) []string
}

// Run runs the suite. Every test has a storage of its own.
func Run(t *testing.T, h Harness) {
	if h.Size == 0 {
		h.Size = 64 << 20
	}
	if h.Rounds == 0 {
		h.Rounds = 50
	}
	if h.Patience == 0 {
		h.Patience = 10 * time.Second
	}
	for _, test := range []struct {
		name    string
		run     func(*suite)
		devices bool // needs them
	}{
		{"PropertiesAreConstant", (*suite).propertiesAreConstant, false},
		{"InstancesDiffer", (*suite).instancesDiffer, false},
		{"CreateReturnsTheVolume", (*suite).createReturnsTheVolume, false},
		{"VolumesCarryTheirNames", (*suite).volumesCarryTheirNames, false},
		{"CreateAgainReturnsTheSameVolume", (*suite).createAgainReturnsTheSameVolume, false},
		{"CreateFindsAnAttachedVolume", (*suite).createFindsAnAttachedVolume, false},
		{"CreateRaceMakesOneVolume", (*suite).createRaceMakesOneVolume, false},
		{"SizesAreExact", (*suite).sizesAreExact, false},
		{"ListWithAndWithoutIDs", (*suite).listWithAndWithoutIDs, false},
		{"AttachAndDetach", (*suite).attachAndDetach, false},
		{"AttachedElsewhere", (*suite).attachedElsewhere, false},
		{"AttachRaceHasOneWinner", (*suite).attachRaceHasOneWinner, false},
		{"UnknownVolumes", (*suite).unknownVolumes, false},
		{"DestroyWhileAttached", (*suite).destroyWhileAttached, false},
		{"DestroyedIsGone", (*suite).destroyedIsGone, false},
		{"EndedContextDoesNothing", (*suite).endedContextDoesNothing, false},
		{"RestartFindsWhatIsAttached", (*suite).restartFindsWhatIsAttached, false},
		{"ManyVolumesAtOnce", (*suite).manyVolumesAtOnce, false},
		{"WitnessTellsWhoCanWrite", (*suite).witnessTellsWhoCanWrite, false},
		{"GuardRefusesOldEpochs", (*suite).guardRefusesOldEpochs, false},
		{"GrowWhileDetached", (*suite).growWhileDetached, false},
		{"GrowWhileAttached", (*suite).growWhileAttached, false},
		{"GrowIsRefused", (*suite).growIsRefused, false},
		{"GrowRace", (*suite).growRace, false},
		{"GrowWhileMounted", (*suite).growWhileMounted, true},
		{"DeviceHasTheVolumesSize", (*suite).deviceHasTheVolumesSize, true},
		{"DataFollowsTheVolume", (*suite).dataFollowsTheVolume, true},
		{"NewVolumeIsBlank", (*suite).newVolumeIsBlank, true},
		{"DetachWhileMounted", (*suite).detachWhileMounted, true},
		{"ForcedDetachOfAMountedVolume", (*suite).forcedDetachOfAMountedVolume, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.devices && !h.Devices {
				t.Skip("the harness has no devices")
			}
			storage := h.New(t)
			s := &suite{T: t, Harness: h, storage: storage, a: storage.Open(t, 0), b: storage.Open(t, 1)}
			s.aID, s.bID = s.instance(s.a), s.instance(s.b)
			t.Cleanup(s.cleanUp)
			test.run(s)
		})
	}
}

// suite is one test.
type suite struct {
	*testing.T
	Harness
	storage  Storage
	a, b     backend.Backend
	aID, bID string
}

func (s *suite) instance(b backend.Backend) string {
	s.Helper()
	id, err := b.InstanceID(s.Context())
	if err != nil || id == "" {
		s.Fatalf("instance id: got %q, %v", id, err)
	}
	return id
}

// cleanUp destroys all volumes and looks for leaks.
func (s *suite) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	volumes, err := s.a.List(ctx)
	if err != nil {
		s.Fatalf("list volumes after the test: %v", err)
	}
	drivers := map[string]backend.Backend{s.aID: s.a, s.bID: s.b}
	for _, v := range volumes {
		if v.AttachedTo != "" {
			if err := drivers[v.AttachedTo].Detach(ctx, v.ID, v.AttachedTo, backend.DetachNormal); err != nil {
				s.Errorf("detach after the test: %v", err)
			}
		}
		if err := s.a.Destroy(ctx, v.ID); err != nil {
			s.Errorf("destroy after the test: %v", err)
		}
	}
	if left := s.storage.Leftovers(s.T); len(left) > 0 {
		s.Errorf("left behind: %q", left)
	}
}

func newDatasetID() string { return uuid.NewString() }

// create makes a volume for a new dataset.
func (s *suite) create() backend.Volume {
	s.Helper()
	return s.createFor(s.a, newDatasetID())
}

func (s *suite) createFor(b backend.Backend, datasetID string) backend.Volume {
	s.Helper()
	v, err := b.Create(s.Context(), backend.CreateRequest{DatasetID: datasetID, Size: s.Size, Name: "test"})
	if err != nil {
		s.Fatalf("create volume: %v", err)
	}
	return v
}

func (s *suite) attach(b backend.Backend, volumeID string) {
	s.Helper()
	if err := b.Attach(s.Context(), volumeID, s.instance(b)); err != nil {
		s.Fatalf("attach volume: %v", err)
	}
}

func (s *suite) detach(b backend.Backend, volumeID string) {
	s.Helper()
	if err := b.Detach(s.Context(), volumeID, s.instance(b), backend.DetachNormal); err != nil {
		s.Fatalf("detach volume: %v", err)
	}
}

// get returns what a volume is listed as, the zero value if it is not.
func (s *suite) get(b backend.Backend, volumeID string) backend.Volume {
	s.Helper()
	volumes, err := b.List(s.Context(), volumeID)
	if err != nil {
		s.Fatalf("list volume: %v", err)
	}
	switch {
	case len(volumes) == 0:
		return backend.Volume{}
	case len(volumes) > 1 || volumes[0].ID != volumeID:
		s.Fatalf("list volume %s: got %+v", volumeID, volumes)
	}
	return volumes[0]
}

// wantAttachedTo waits until all agree where a volume is attached.
func (s *suite) wantAttachedTo(volumeID, instance string) {
	s.Helper()
	for _, b := range []backend.Backend{s.a, s.b} {
		var got backend.Volume
		s.eventually(func() bool {
			got = s.get(b, volumeID)
			return got.ID == volumeID && got.AttachedTo == instance
		}, func() { s.Fatalf("volume %s: got %+v, want it attached to %q", volumeID, got, instance) })
	}
}

// wantVolumes waits until a driver lists exactly these volumes.
func (s *suite) wantVolumes(b backend.Backend, want ...string) {
	s.Helper()
	var got []string
	s.eventually(func() bool {
		volumes, err := b.List(s.Context())
		if err != nil {
			s.Fatalf("list volumes: %v", err)
		}
		got = got[:0]
		for _, v := range volumes {
			got = append(got, v.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		return slices.Equal(got, want)
	}, func() { s.Fatalf("listed volumes: got %q, want %q", got, want) })
}

// eventually waits until done, or fails.
func (s *suite) eventually(done func() bool, fail func()) {
	s.Helper()
	deadline := time.Now().Add(s.Patience)
	for !done() {
		if time.Now().After(deadline) {
			fail()
			return
		}
		timer := time.NewTimer(s.Patience / 1000)
		select {
		case <-timer.C:
		case <-s.Context().Done():
			timer.Stop()
			fail()
			return
		}
	}
}
