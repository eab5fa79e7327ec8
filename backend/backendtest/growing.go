package backendtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

func (s *suite) growers() (a, b backend.Grower) {
	a, ok := s.a.(backend.Grower)
	if !ok {
		s.Skip("the backend cannot make volumes larger")
	}
	return a, s.b.(backend.Grower)
}

// larger returns a size that a volume of the suite may grow to.
func (s *suite) larger(units int64) int64 {
	return 2*s.Size + units*s.a.Properties().AllocationUnit
}

// grow makes a volume larger, as often as it takes, and wants it to have a size.
func (s *suite) grow(g backend.Grower, volumeID string, size, want int64) {
	s.Helper()
	var v backend.Volume
	var err error
	s.eventually(func() bool {
		v, err = g.Grow(s.Context(), volumeID, size)
		return !errors.Is(err, backend.ErrNotReady)
	}, func() {})
	if err != nil {
		s.Fatalf("grow volume: %v", err)
	}
	for _, b := range []backend.Backend{s.a, s.b} {
		if listed := s.get(b, volumeID); v.Size != want || listed != v {
			s.Fatalf("volume that was to have %d bytes: got %+v, listed as %+v, want %d bytes", size, v, listed, want)
		}
	}
}

func (s *suite) growWhileDetached() {
	a, b := s.growers()
	v := s.create()
	size := s.larger(0)
	for range 2 { // again is no error
		s.grow(a, v.ID, size, size)
	}
	s.grow(b, v.ID, s.Size, size) // never smaller
	s.grow(b, v.ID, s.larger(3), s.larger(3))
	s.wantAttachedTo(v.ID, "")
	s.attach(s.b, v.ID)
	if !s.Devices {
		return
	}
	if d := s.device(s.b, v.ID); d.Size != s.larger(3) {
		s.Errorf("device of the grown volume: got %d bytes, want %d", d.Size, s.larger(3))
	}
}

func (s *suite) growWhileAttached() {
	a, _ := s.growers()
	v := s.create()
	s.attach(s.a, v.ID)
	text := []byte("written before")
	var before backend.Device
	if s.Devices {
		before = s.device(s.a, v.ID)
		s.write(before, text, s.Size-4096)
	}
	for range 2 { // again is no error
		s.grow(a, v.ID, s.larger(0), s.larger(0))
		s.grow(a, v.ID, s.Size, s.larger(0)) // never smaller
	}
	s.wantAttachedTo(v.ID, s.aID)
	if s.Devices {
		after, err := s.a.Device(s.Context(), v.ID) // at once
		before.Size = s.larger(0)
		if err != nil || after != before {
			s.Errorf("device of the grown volume: got %+v, %v, want %+v", after, err, before)
		}
		if got := s.read(after, len(text), s.Size-4096); !bytes.Equal(got, text) {
			s.Errorf("read what was written before: got %q, want %q", got, text)
		}
		for _, at := range []int64{s.Size, s.larger(0) - 4096} {
			if got := s.read(after, 4096, at); !bytes.Equal(got, make([]byte, 4096)) {
				s.Errorf("the new part is not blank at byte %d", at)
			}
		}
	}
	again := s.storage.Open(s.T, 0)
	s.grow(again.(backend.Grower), v.ID, s.larger(1), s.larger(1)) // after a restart
	s.detach(again, v.ID)
	s.wantAttachedTo(v.ID, "")
	s.a = again
}

func (s *suite) growIsRefused() {
	a, b := s.growers()
	id := newDatasetID()
	if _, err := a.Grow(s.Context(), id, s.larger(0)); !errors.Is(err, backend.ErrUnknownVolume) {
		s.Errorf("grow an unknown volume: got %v, want %v", err, backend.ErrUnknownVolume)
	}
	v := s.create()
	s.attach(s.a, v.ID)
	_, err := b.Grow(s.Context(), v.ID, s.larger(0))
	if elsewhere, ok := errors.AsType[*backend.AttachedElsewhereError](err); !ok || elsewhere.VolumeID != v.ID {
		s.Errorf("grow what another instance has: got %v, want an AttachedElsewhereError", err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := a.Grow(ctx, v.ID, s.larger(0)); !errors.Is(err, context.Canceled) {
		s.Errorf("grow with an ended context: got %v, want %v", err, context.Canceled)
	}
	v.AttachedTo = s.aID
	if got := s.get(s.b, v.ID); got != v {
		s.Errorf("volume after that: got %+v, want %+v", got, v)
	}
}

// growRace has several callers ask for different sizes at once: the largest is
// what there is in the end.
func (s *suite) growRace() {
	a, _ := s.growers()
	for _, attached := range []bool{false, true} {
		v := s.create()
		if attached {
			s.attach(s.a, v.ID)
		}
		const callers = 4
		s.atOnce(callers, func(i int) {
			v, err := a.Grow(s.Context(), v.ID, s.larger(int64(i)))
			if err != nil && !errors.Is(err, backend.ErrNotReady) || err == nil && v.Size < s.larger(int64(i)) {
				s.Errorf("grow beside others to %d bytes: got %+v, %v", s.larger(int64(i)), v, err)
			}
		})
		s.grow(a, v.ID, s.larger(0), s.larger(callers-1))
	}
}

func (s *suite) growWhileMounted() {
	a, _ := s.growers()
	v := s.create()
	s.attach(s.a, v.ID)
	target := s.mount(v.ID)
	file := filepath.Join(target, "file")
	if err := os.WriteFile(file, []byte("written before"), 0o600); err != nil {
		s.Fatal(err)
	}
	s.grow(a, v.ID, s.larger(0), s.larger(0))
	if d, err := s.a.Device(s.Context(), v.ID); err != nil || d.Size != s.larger(0) {
		s.Errorf("device of the grown volume: got %+v, %v, want %d bytes", d, err, s.larger(0))
	}
	if fills, err := host.Fills(s.device(s.a, v.ID).Path, target); err != nil || fills {
		s.Errorf("file system fills the grown device: got %t, %v, want false", fills, err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "written before" {
		s.Errorf("read from the mounted volume: got %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("still writable"), 0o600); err != nil {
		s.Error(err)
	}
	if err := host.Unmount(target); err != nil {
		s.Fatal(err)
	}
	s.detach(s.a, v.ID)
}
