package loopback_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/host"
)

func detach(t *testing.T, b *loopback.Backend, id string) {
	t.Helper()
	instance, err := b.InstanceID(t.Context())
	if err == nil {
		err = b.Detach(t.Context(), id, instance, backend.DetachNormal)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestImageThatWasCutShort(t *testing.T) {
	for _, test := range []struct {
		size    int64
		damaged bool
	}{{volumeSize - 4096, false}, {512, false}, {volumeSize - 1, true}, {1, true}, {0, true}} {
		s := newStorage(t)
		b := s.open(t, "alpha")
		id := create(t, b)
		if err := os.Truncate(s.free(id), test.size); err != nil {
			t.Fatal(err)
		}
		volumes, err := b.List(t.Context(), id)
		if err != nil || len(volumes) != 1 || volumes[0].Size != test.size {
			t.Errorf("list an image of %d bytes: got %+v, %v", test.size, volumes, err)
		}
		err = b.Attach(t.Context(), id, "alpha")
		if errors.Is(err, backend.ErrDamaged) != test.damaged || (err != nil) != test.damaged {
			t.Errorf("attach an image of %d bytes: got %v", test.size, err)
		}
		if !test.damaged {
			detach(t, b, id)
		}
		if _, err := os.Stat(s.free(id)); err != nil {
			t.Errorf("image of %d bytes: %v", test.size, err)
		}
	}
}

func TestDetachWaitsForWhoeverReadsTheDevice(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	attach(t, b, id)
	device, err := b.Device(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(device.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := b.Detach(t.Context(), id, "alpha", backend.DetachNormal); !errors.Is(err, backend.ErrInUse) {
		t.Errorf("detach while the device is open: got %v, want %v", err, backend.ErrInUse)
	}
	if volumes, err := b.List(t.Context(), id); err != nil || volumes[0].AttachedTo != "alpha" {
		t.Errorf("list: got %+v, %v", volumes, err)
	}
	// It can't be attached again either, for the device goes away.
	if err := b.Attach(t.Context(), id, "alpha"); !errors.Is(err, backend.ErrInUse) {
		t.Errorf("attach while the device goes away: got %v, want %v", err, backend.ErrInUse)
	}
	if _, err := b.Device(t.Context(), id); !errors.Is(err, backend.ErrNotAttached) {
		t.Errorf("device that goes away: got %v, want %v", err, backend.ErrNotAttached)
	}
	detached := make(chan error, 1)
	go func() { detached <- b.Detach(t.Context(), id, "alpha", backend.DetachNormal) }()
	reader.Close()
	if err := <-detached; err != nil {
		t.Errorf("detach when the device was closed: %v", err)
	}
	attach(t, b, id)
	detach(t, b, id)
}

func TestDetachFromADeadInstance(t *testing.T) {
	for _, mode := range []backend.DetachMode{backend.DetachNormal, backend.DetachForced} {
		s := newStorage(t)
		alpha := s.open(t, "alpha")
		s.open(t, "dead")
		id := create(t, alpha)
		// As a machine leaves it that lost its power.
		if err := os.Rename(s.free(id), s.at("dead", id)); err != nil {
			t.Fatal(err)
		}
		err := alpha.Attach(t.Context(), id, "alpha")
		if elsewhere, ok := errors.AsType[*backend.AttachedElsewhereError](err); !ok || elsewhere.Instance != "dead" {
			t.Errorf("attach: got %v, want that it is attached to dead", err)
		}
		if err := alpha.Detach(t.Context(), id, "dead", mode); err != nil {
			t.Errorf("detach from a dead instance: %v", err)
		}
		attach(t, alpha, id)
		detach(t, alpha, id)
	}
}

func TestForcedDetachDoesNotTakeFromTheLiving(t *testing.T) {
	s := newStorage(t)
	alpha, beta := s.open(t, "alpha"), s.open(t, "beta")
	id := create(t, alpha)
	attach(t, alpha, id)
	if err := beta.Detach(t.Context(), id, "alpha", backend.DetachForced); !errors.Is(err, backend.ErrInUse) {
		t.Errorf("forced detach: got %v, want %v", err, backend.ErrInUse)
	}
	if _, err := alpha.Device(t.Context(), id); err != nil {
		t.Errorf("device: %v", err)
	}
	detach(t, alpha, id)
}

func TestAttachedImageWithoutADeviceIsAttachedAgain(t *testing.T) {
	for _, loss := range []string{"reboot", "somebody detached the device"} {
		t.Run(loss, func(t *testing.T) {
			s := newStorage(t)
			b := s.open(t, "alpha")
			id := create(t, b)
			attach(t, b, id)
			clearLoops(t, s.root)
			if loss == "reboot" {
				b = s.open(t, "alpha")
			}
			if _, err := b.Device(t.Context(), id); !errors.Is(err, backend.ErrNotAttached) {
				t.Errorf("device: got %v, want %v", err, backend.ErrNotAttached)
			}
			if volumes, err := b.List(t.Context(), id); err != nil || volumes[0].AttachedTo != "alpha" {
				t.Errorf("list: got %+v, %v", volumes, err)
			}
			attach(t, b, id)
			if _, err := b.Device(t.Context(), id); err != nil {
				t.Errorf("device: %v", err)
			}
			clearLoops(t, s.root)
			detach(t, b, id)
		})
	}
}

func TestDeviceThatShowsSomethingElseIsNotTheVolumes(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	mine, other := create(t, b), create(t, b)
	attach(t, b, mine)
	device, err := b.Device(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	clearLoops(t, s.root)
	image, err := os.OpenFile(s.free(other), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	// The device is the first one that is free.
	loop, err := host.AttachLoop(t.Context(), image, "")
	if err != nil {
		t.Fatal(err)
	}
	if loop.Path() != device.Path {
		t.Skipf("got %s instead of %s", loop.Path(), device.Path)
	}
	if got, err := b.Device(t.Context(), mine); !errors.Is(err, backend.ErrNotAttached) {
		t.Errorf("device: got %+v, %v, want %v", got, err, backend.ErrNotAttached)
	}
	detach(t, b, mine)
	if _, err := host.StatLoop(loop.Number); err != nil {
		t.Errorf("the other's device: %v", err)
	}
}

func TestImageThatSomebodyElseLocked(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	other, err := os.OpenFile(s.free(id), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*backend.AttachedElsewhereError](b.Attach(t.Context(), id, "alpha")); !ok {
		t.Error("attach: got no AttachedElsewhereError")
	}
	if err := b.Destroy(t.Context(), id); !errors.Is(err, backend.ErrInUse) {
		t.Errorf("destroy: got %v, want %v", err, backend.ErrInUse)
	}
	if err := os.Rename(s.free(id), s.at("alpha", id)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"attach": b.Attach(t.Context(), id, "alpha"),
		"detach": b.Detach(t.Context(), id, "alpha", backend.DetachNormal),
	} {
		if !errors.Is(err, backend.ErrInUse) {
			t.Errorf("%s: got %v, want %v", what, err, backend.ErrInUse)
		}
	}
	other.Close()
	attach(t, b, id)
	detach(t, b, id)
}

func TestTwoImagesOfOneVolumeAreNotTouched(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	for _, path := range []string{s.free(id), s.at("alpha", id)} {
		image := append([]byte(path), make([]byte, 4096-len(path))...)
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, err := range map[string]error{
		"attach": b.Attach(t.Context(), id, "alpha"),
		"detach": b.Detach(t.Context(), id, "alpha", backend.DetachNormal),
	} {
		if !errors.Is(err, backend.ErrDamaged) || !strings.Contains(err.Error(), s.at("alpha", id)) {
			t.Errorf("%s: got %v, want %v", what, err, backend.ErrDamaged)
		}
	}
	for _, path := range []string{s.free(id), s.at("alpha", id)} {
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), path) {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
}

func TestOnlyImagesAreVolumes(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	if err := errors.Join(
		os.Mkdir(s.free("directory"), 0o700),
		os.Symlink(s.free(id), s.free("link")),
		os.WriteFile(s.free(".hidden"), nil, 0o600),
		os.WriteFile(filepath.Join(s.root, "attached", "file"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	volumes, err := b.List(t.Context())
	if err != nil || len(volumes) != 1 || volumes[0].ID != id {
		t.Errorf("list: got %+v, %v, want only %s", volumes, err, id)
	}
	for _, name := range []string{"directory", "link", ".hidden", "..", "../attached/alpha", "a\x00b", strings.Repeat("x", 300), ""} {
		if volumes, err := b.List(t.Context(), name); err != nil || len(volumes) > 0 {
			t.Errorf("list %q: got %+v, %v", name, volumes, err)
		}
	}
}

func TestOnlyThisMachineIsAttachedTo(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	if err := b.Attach(t.Context(), id, "beta"); err == nil || !strings.Contains(err.Error(), "alpha") {
		t.Errorf("attach to another machine: got %v", err)
	}
}

func TestRemovedInstanceDirectoryIsMadeAgain(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	if err := os.Remove(s.at("alpha", "")); err != nil {
		t.Fatal(err)
	}
	attach(t, b, id)
	detach(t, b, id)
}
