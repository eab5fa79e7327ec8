package loopback

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestNamedImages is for file systems without unnamed files, such as NFS.
func TestNamedImages(t *testing.T) {
	r, err := openRoot(filepath.Join(t.TempDir(), "root"), "alpha", "")
	if err != nil {
		t.Fatal(err)
	}
	image, err := r.makeNamedImage("volume", 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if ours, err := isAt(image, r.free("volume")); err != nil || !ours {
		t.Errorf("image: got %v, %v, want it at its place", ours, err)
	}
	if info, err := os.Stat(r.free("volume")); err != nil || info.Size() != 8192 {
		t.Errorf("image: got %v, %v, want 8192 bytes", info, err)
	}
	if err := lock(image); err != nil {
		t.Errorf("lock: %v", err)
	}
	if _, err := r.makeNamedImage("volume", 4096); !errors.Is(err, os.ErrExist) {
		t.Errorf("make it again: got %v, want %v", err, os.ErrExist)
	}
	names, err := readNames(r.unattached())
	if err != nil || len(names) != 1 {
		t.Errorf("files: got %q, %v", names, err)
	}
}
