package loopback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// The numbers of a loop device and of a file are used again: what a volume once had may
// be another file's device by now, which is neither shown nor freed.
func TestAnothersLoopDeviceIsNoStray(t *testing.T) {
	b, err := New(Config{RootPath: t.TempDir(), InstanceID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.Create(filepath.Join(t.TempDir(), "another"))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if err := image.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	loop, err := host.AttachLoop(t.Context(), image, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			t.Error(err)
		}
	}()
	const id = "9f2b3a8e-ecee-4fce-b4f0-8c1b6ede75a0"
	if _, err := b.List(t.Context()); err != nil { // what it has is known from then on
		t.Fatal(err)
	}
	b.remember(id, loop)
	if got, err := b.List(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("listed %v, %v", got, err)
	}
	if err := b.Detach(t.Context(), id, "a", backend.DetachNormal); err == nil {
		t.Error("a volume that does not exist was detached")
	}
	if _, err := host.StatLoop(loop.Number); err != nil {
		t.Errorf("the other's loop device: %v", err)
	}
}
