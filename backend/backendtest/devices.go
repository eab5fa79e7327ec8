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

// device waits until the kernel shows a volume.
func (s *suite) device(b backend.Backend, volumeID string) backend.Device {
	s.Helper()
	var d backend.Device
	var err error
	s.eventually(func() bool {
		d, err = b.Device(s.Context(), volumeID)
		return !errors.Is(err, backend.ErrNotReady)
	}, func() {})
	if err != nil {
		s.Errorf("device of volume: %v", err)
	}
	return d
}

func (s *suite) deviceHasTheVolumesSize() {
	unit := s.a.Properties().AllocationUnit
	v, err := s.a.Create(s.Context(), backend.CreateRequest{DatasetID: newDatasetID(), Size: s.Size + 3*unit})
	if err != nil {
		s.Fatalf("create volume: %v", err)
	}
	s.attach(s.a, v.ID)
	d := s.device(s.a, v.ID)
	if d.Size != v.Size {
		s.Errorf("size of the device: got %d, want %d", d.Size, v.Size)
	}
	f, err := os.Open(d.Path)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	if end, err := f.Seek(0, 2); err != nil || end != v.Size {
		s.Errorf("end of %s: got %d, %v, want %d", d.Path, end, err, v.Size)
	}
}

func (s *suite) dataFollowsTheVolume() {
	v := s.create()
	text := []byte("written by a")
	s.attach(s.a, v.ID)
	s.write(s.device(s.a, v.ID), text, v.Size-4096)
	s.detach(s.a, v.ID)
	s.attach(s.b, v.ID)
	if got := s.read(s.device(s.b, v.ID), len(text), v.Size-4096); !bytes.Equal(got, text) {
		s.Errorf("read by b: got %q, want %q", got, text)
	}
	s.write(s.device(s.b, v.ID), []byte("and by b"), 0)
	s.detach(s.b, v.ID)
	s.attach(s.a, v.ID)
	if got := s.read(s.device(s.a, v.ID), 8, 0); string(got) != "and by b" {
		s.Errorf("read by a: got %q, want %q", got, "and by b")
	}
}

func (s *suite) newVolumeIsBlank() {
	v := s.create()
	s.attach(s.a, v.ID)
	s.write(s.device(s.a, v.ID), []byte("secret"), 4096)
	s.detach(s.a, v.ID)
	if err := s.a.Destroy(s.Context(), v.ID); err != nil {
		s.Fatalf("destroy volume: %v", err)
	}
	again := s.createFor(s.a, v.DatasetID)
	s.attach(s.a, again.ID)
	d := s.device(s.a, again.ID)
	sig, err := host.Probe(host.Device{Path: d.Path, Image: d.Image})
	if err != nil || sig.Kind != host.Blank {
		s.Errorf("signature of a new volume: got %v, %v, want a blank one", sig, err)
	}
	if got := s.read(d, 6, 4096); !bytes.Equal(got, make([]byte, 6)) {
		s.Errorf("data of a new volume: got %q", got)
	}
}

// mount formats a volume of a and mounts it.
func (s *suite) mount(volumeID string) (target string) {
	s.Helper()
	d := s.device(s.a, volumeID)
	if err := host.Format(s.Context(), host.Device{Path: d.Path, Image: d.Image}, "ext4"); err != nil {
		s.Fatal(err)
	}
	target = s.TempDir()
	if err := host.Mount(d.Path, target, "ext4", 0); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := host.Unmount(target); err != nil {
			s.Error(err)
		}
	})
	return target
}

func (s *suite) detachWhileMounted() {
	v := s.create()
	s.attach(s.a, v.ID)
	target := s.mount(v.ID)
	if err := s.a.Detach(s.Context(), v.ID, s.aID, backend.DetachNormal); !errors.Is(err, backend.ErrInUse) {
		s.Fatalf("detach a mounted volume: got %v, want %v", err, backend.ErrInUse)
	}
	s.wantAttachedTo(v.ID, s.aID)
	s.attach(s.a, v.ID) // still is
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("still writable"), 0o600); err != nil {
		s.Error(err)
	}
	if err := host.Unmount(target); err != nil {
		s.Fatal(err)
	}
	s.detach(s.a, v.ID)
	s.wantAttachedTo(v.ID, "")
}

func (s *suite) forcedDetachOfAMountedVolume() {
	v := s.create()
	s.attach(s.a, v.ID)
	target := s.mount(v.ID)
	ctx, cancel := context.WithTimeout(s.Context(), s.Patience)
	defer cancel()
	err := s.b.Detach(ctx, v.ID, s.aID, backend.DetachForced)
	if s.ForcedCuts {
		if err != nil {
			s.Fatalf("forced detach: %v", err)
		}
		s.wantAttachedTo(v.ID, "")
		return
	}
	if !errors.Is(err, backend.ErrInUse) {
		s.Fatalf("forced detach, though the instance can still write: got %v, want %v", err, backend.ErrInUse)
	}
	s.wantAttachedTo(v.ID, s.aID)
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("still writable"), 0o600); err != nil {
		s.Error(err)
	}
}

func (s *suite) write(d backend.Device, data []byte, at int64) {
	s.Helper()
	f, err := os.OpenFile(d.Path, os.O_WRONLY, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		s.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) read(d backend.Device, n int, at int64) []byte {
	s.Helper()
	f, err := os.Open(d.Path)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, n)
	if _, err := f.ReadAt(data, at); err != nil {
		s.Fatal(err)
	}
	return data
}
