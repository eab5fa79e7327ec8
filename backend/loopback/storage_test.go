package loopback_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

// mountTmpfs mounts a file system in memory for the time of the test.
func mountTmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func create(t *testing.T, b *loopback.Backend) string {
	t.Helper()
	v, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: volumeSize})
	if err != nil {
		t.Fatal(err)
	}
	return v.ID
}

func attach(t *testing.T, b *loopback.Backend, id string) {
	t.Helper()
	instance, err := b.InstanceID(t.Context())
	if err == nil {
		err = b.Attach(t.Context(), id, instance)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullStorageLeavesNothing(t *testing.T) {
	s := storage{root: mountTmpfs(t, "size=1m,nr_inodes=8")}
	b := s.open(t, "alpha")
	var err error
	made := 0
	for ; err == nil && made < 100; made++ {
		_, err = b.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: volumeSize})
	}
	if !errors.Is(err, backend.ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("create on a full storage: got %v, want %v", err, backend.ErrNoSpace)
	}
	volumes, err := b.List(t.Context())
	if err != nil || len(volumes) != made-1 {
		t.Errorf("volumes: got %d, %v, want %d", len(volumes), err, made-1)
	}
	for _, v := range volumes {
		if err := b.Destroy(t.Context(), v.ID); err != nil {
			t.Error(err)
		}
	}
	if left := s.Leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestImpossibleSizeLeavesNothing(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	for _, size := range []int64{1 << 62, 4096 + 1, 0, -4096} {
		if v, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: size}); err == nil {
			t.Errorf("create %d bytes: got %+v", size, v)
		}
	}
	if left := s.Leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestReadOnlyStorageCanBeListed(t *testing.T) {
	dir := mountTmpfs(t, "size=1m")
	s := storage{root: dir}
	b := s.open(t, "alpha")
	id := create(t, b)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*loopback.Backend{b, s.open(t, "alpha")} {
		if volumes, err := b.List(t.Context()); err != nil || len(volumes) != 1 {
			t.Errorf("list: got %+v, %v", volumes, err)
		}
		_, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: volumeSize})
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("create: got %v, want %v", err, unix.EROFS)
		}
		if err := b.Attach(t.Context(), id, "alpha"); !errors.Is(err, unix.EROFS) {
			t.Errorf("attach: got %v, want %v", err, unix.EROFS)
		}
		if err := b.Destroy(t.Context(), id); !errors.Is(err, unix.EROFS) {
			t.Errorf("destroy: got %v, want %v", err, unix.EROFS)
		}
	}
}

// TestStorageThatIsGoneHasNotLostItsVolumes unmounts the storage, which leaves
// an empty directory, and then puts another one in its place.
func TestStorageThatIsGoneHasNotLostItsVolumes(t *testing.T) {
	// The storage is bound to its root, so that it can come back.
	elsewhere, root := t.TempDir(), t.TempDir()
	bind := func(source string) {
		t.Helper()
		if err := unix.Mount(source, root, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	unbind := func() {
		t.Helper()
		if err := unix.Unmount(root, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	bind(elsewhere)
	s := storage{root: root}
	b := s.open(t, "alpha")
	id := create(t, b)
	wantGone := func(why string) {
		t.Helper()
		ctx := t.Context()
		_, createErr := b.Create(ctx, backend.CreateRequest{DatasetID: uuid.NewString(), Size: volumeSize})
		_, listErr := b.List(ctx)
		_, listOneErr := b.List(ctx, id)
		for what, err := range map[string]error{
			"create": createErr, "list": listErr, "list one": listOneErr,
			"attach": b.Attach(ctx, id, "alpha"), "destroy": b.Destroy(ctx, id),
			"detach": b.Detach(ctx, id, "alpha", backend.DetachNormal),
		} {
			if !errors.Is(err, loopback.ErrStorageGone) {
				t.Errorf("%s, %s: got %v, want %v", what, why, err, loopback.ErrStorageGone)
			}
		}
	}
	unbind()
	wantGone("unmounted")
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("empty directory: got %v, %v", entries, err)
	}
	other := storage{root: t.TempDir()}
	other.open(t, "alpha")
	bind(other.root)
	wantGone("replaced")
	unbind()
	bind(elsewhere)
	if volumes, err := b.List(t.Context()); err != nil || len(volumes) != 1 || volumes[0].ID != id {
		t.Errorf("list when it is back: got %+v, %v", volumes, err)
	}
}

// TestStorageMountedAnewKeepsItsDevices copies the storage's mark, so that it
// is another file, as after a remount under another device number.
func TestStorageMountedAnewKeepsItsDevices(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	id := create(t, b)
	attach(t, b, id)
	before, err := b.Device(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(s.root, ".flocker-loopback")
	text, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(mark+"-new", text, 0o600), os.Rename(mark+"-new", mark)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := b.Device(t.Context(), id); err != nil || after != before {
		t.Errorf("device: got %+v, %v, want %+v", after, err, before)
	}
	detach(t, b, id)
}

func TestKnownStorageIsNotMadeAnew(t *testing.T) {
	s := newStorage(t)
	id := s.open(t, "alpha").StorageID()
	config := loopback.Config{RootPath: s.root, InstanceID: "alpha", StorageID: id}
	if b, err := loopback.New(config); err != nil || b.StorageID() != id {
		t.Fatalf("open again: %v", err)
	}
	other := storage{root: t.TempDir()}
	config.RootPath = other.root
	if _, err := loopback.New(config); !errors.Is(err, loopback.ErrStorageGone) {
		t.Errorf("open an empty directory: got %v, want %v", err, loopback.ErrStorageGone)
	}
	if entries, err := os.ReadDir(other.root); err != nil || len(entries) > 0 {
		t.Errorf("empty directory: got %v, %v", entries, err)
	}
	other.open(t, "alpha")
	if _, err := loopback.New(config); !errors.Is(err, loopback.ErrStorageGone) || !strings.Contains(err.Error(), id) {
		t.Errorf("open another storage: got %v, want %v", err, loopback.ErrStorageGone)
	}
	config.RootPath = filepath.Join(t.TempDir(), "missing")
	if _, err := loopback.New(config); !errors.Is(err, loopback.ErrStorageGone) {
		t.Errorf("open a missing directory: got %v, want %v", err, loopback.ErrStorageGone)
	}
}

func TestConfigIsChecked(t *testing.T) {
	dir := t.TempDir()
	for _, config := range []loopback.Config{
		{InstanceID: "alpha"},
		{RootPath: dir},
		{RootPath: dir, InstanceID: "a/b"},
		{RootPath: dir, InstanceID: ".."},
		{RootPath: dir, InstanceID: "alpha", AllocationUnit: 1000},
		{RootPath: dir, InstanceID: "alpha", AllocationUnit: -4096},
		{RootPath: "/dev/null/x", InstanceID: "alpha"},
	} {
		if _, err := loopback.New(config); err == nil || !strings.HasPrefix(err.Error(), "loopback: ") {
			t.Errorf("open %+v: got %v", config, err)
		}
	}
	b, err := loopback.New(loopback.Config{RootPath: dir, InstanceID: "alpha", AllocationUnit: 1 << 20})
	if err != nil || b.Properties().Name != "loopback" || b.Properties().AllocationUnit != 1<<20 || b.Properties().MaxSize < 1<<40 {
		t.Errorf("properties: got %+v, %v", b.Properties(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".flocker-loopback"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loopback.New(loopback.Config{RootPath: dir, InstanceID: "alpha"}); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("open a storage with a damaged mark: got %v, want %v", err, backend.ErrDamaged)
	}
}

func TestLeftoversOfCrashesAreRemoved(t *testing.T) {
	s := newStorage(t)
	s.open(t, "alpha")
	abandoned, beingMade := s.free(".new-1"), s.free(".new-2")
	for _, path := range []string{abandoned, beingMade, filepath.Join(s.root, ".new-mark-1")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	maker, err := os.OpenFile(beingMade, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	if err := unix.Flock(int(maker.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	b := s.open(t, "beta")
	if left := s.Leftovers(t); len(left) != 1 || left[0] != beingMade {
		t.Errorf("left: got %q, want only %s", left, beingMade)
	}
	if volumes, err := b.List(t.Context()); err != nil || len(volumes) > 0 {
		t.Errorf("list: got %+v, %v", volumes, err)
	}
}

func TestMachinesThatOpenANewStorageAtOnceAgreeOnIt(t *testing.T) {
	for range 20 {
		root := t.TempDir()
		ids := make(chan string, 8)
		for i := range cap(ids) {
			go func() {
				b, err := loopback.New(loopback.Config{RootPath: root, InstanceID: fmt.Sprintf("node-%d", i)})
				if err != nil {
					t.Error(err)
					ids <- ""
					return
				}
				ids <- b.StorageID()
			}()
		}
		first := <-ids
		for range cap(ids) - 1 {
			if id := <-ids; id != first {
				t.Errorf("storage ids %s and %s", first, id)
			}
		}
	}
}

// TestLargestVolumeIsWhatTheFileSystemHolds creates an image of the size that is said
// to be possible, and refuses the next one.
func TestLargestVolumeIsWhatTheFileSystemHolds(t *testing.T) {
	s := newStorage(t)
	b := s.open(t, "alpha")
	p := b.Properties()
	if p.MaxSize < 1<<40 || p.MaxSize%p.AllocationUnit != 0 {
		t.Fatalf("largest volume: got %d bytes", p.MaxSize)
	}
	v, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: "largest", Size: p.MaxSize})
	if err != nil || v.Size != p.MaxSize {
		t.Errorf("create a volume of %d bytes: got %+v, %v", p.MaxSize, v, err)
	}
	if p.MaxSize > 1<<63-1-2*p.AllocationUnit {
		return
	}
	if _, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: "larger", Size: p.MaxSize + p.AllocationUnit}); err == nil || !strings.Contains(err.Error(), "largest file") {
		t.Errorf("create a larger one: got %v, want a refusal", err)
	}
}
