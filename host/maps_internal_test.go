package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAMemoryMapThatHangsHoldsUpNoSearch leaves a read behind and takes up the next when
// the first has ended.
func TestAMemoryMapThatHangsHoldsUpNoSearch(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	var s HolderSearch
	hang := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.maps.await(ctx, func() { cancel(); <-hang }); err == nil {
		t.Error("the read that hangs counts as done")
	}
	if err := s.maps.await(t.Context(), func() { t.Error("another map is read meanwhile") }); err == nil {
		t.Error("the read that was left out counts as done")
	}
	const all = 1 << 20
	users, err := s.Users(t.Context(), st.Dev, all)
	if err == nil {
		t.Error("the users are told to be all, though no memory map was read")
	}
	if !slices.ContainsFunc(users, func(p Process) bool { return p.ID == os.Getpid() }) {
		t.Errorf("this process, which has a file open, is not among %d users", len(users))
	}
	ended := s.maps.hung
	close(hang)
	<-ended
	if _, err := s.Users(t.Context(), st.Dev, all); err != nil {
		t.Error(err)
	}
}
