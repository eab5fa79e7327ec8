package loopback_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
)

// TestFullStorageGrowsNothing fills the storage, so that a file system which
// grows could not write what it must, and makes room again.
func TestFullStorageGrowsNothing(t *testing.T) {
	s := storage{root: mountTmpfs(t, "size=32m")}
	b := s.open(t, "alpha")
	free, attached := create(t, b), create(t, b)
	attach(t, b, attached)
	ballast := filepath.Join(s.root, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{free, attached} {
		_, err := b.Grow(t.Context(), id, 2*volumeSize)
		if !errors.Is(err, backend.ErrNoSpace) || !strings.Contains(err.Error(), "11 MiB free") {
			t.Errorf("grow in a full storage: got %v, want %v that says how full", err, backend.ErrNoSpace)
		}
		if v, err := b.List(t.Context(), id); err != nil || v[0].Size != volumeSize {
			t.Errorf("volume after that: got %+v, %v, want it unchanged", v, err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{free, attached} {
		if v, err := b.Grow(t.Context(), id, 2*volumeSize); err != nil || v.Size != 2*volumeSize {
			t.Errorf("grow when there is room: got %+v, %v", v, err)
		}
	}
	if d, err := b.Device(t.Context(), attached); err != nil || d.Size != 2*volumeSize {
		t.Errorf("device: got %+v, %v, want %d bytes", d, err, 2*volumeSize)
	}
	detach(t, b, attached)
}

func TestImpossibleSizesAreNotGrownTo(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	for _, size := range []int64{0, -4096, 2*volumeSize + 1} {
		if v, err := b.Grow(t.Context(), id, size); err == nil {
			t.Errorf("grow to %d bytes: got %+v, want an error", size, v)
		}
	}
	if v, err := b.Grow(t.Context(), id, 1<<62); err == nil {
		t.Errorf("grow to 4 EiB: got %+v, want an error", v)
	}
	if v, err := b.List(t.Context(), id); err != nil || v[0].Size != volumeSize {
		t.Errorf("volume after that: got %+v, %v, want it unchanged", v, err)
	}
	if err := os.Truncate(s.free(id), 1000); err != nil {
		t.Fatal(err)
	}
	if v, err := b.Grow(t.Context(), id, 2*volumeSize); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("grow an image that was cut short: got %+v, %v, want %v", v, err, backend.ErrDamaged)
	}
}

// TestImageThatSomebodyElseLockedDoesNotGrow has another machine at it.
func TestImageThatSomebodyElseLockedDoesNotGrow(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	image, err := os.OpenFile(s.free(id), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if err := unix.Flock(int(image.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err = b.Grow(t.Context(), id, 2*volumeSize)
	if _, ok := errors.AsType[*backend.AttachedElsewhereError](err); !ok {
		t.Errorf("grow what another machine has locked: got %v, want an AttachedElsewhereError", err)
	}
	if err := os.Mkdir(filepath.Dir(s.at("beta", id)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.free(id), s.at("beta", id)); err != nil {
		t.Fatal(err)
	}
	_, err = b.Grow(t.Context(), id, 2*volumeSize)
	if elsewhere, ok := errors.AsType[*backend.AttachedElsewhereError](err); !ok || elsewhere.Instance != "beta" {
		t.Errorf("grow what beta has: got %v, want an AttachedElsewhereError", err)
	}
}

// TestAttachedImageWithoutADeviceGrows is where an attach was cut off.
func TestAttachedImageWithoutADeviceGrows(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	if err := os.Rename(s.free(id), s.at("alpha", id)); err != nil {
		t.Fatal(err)
	}
	v, err := b.Grow(t.Context(), id, 2*volumeSize)
	if err != nil || v.Size != 2*volumeSize || v.AttachedTo != "alpha" {
		t.Errorf("grow: got %+v, %v, want it attached to alpha with %d bytes", v, err, 2*volumeSize)
	}
	attach(t, b, id)
	if d, err := b.Device(t.Context(), id); err != nil || d.Size != 2*volumeSize {
		t.Errorf("device: got %+v, %v, want %d bytes", d, err, 2*volumeSize)
	}
	detach(t, b, id)
}
