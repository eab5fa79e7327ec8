package loopback

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
)

// Create makes a sparse image, or finds the one of the dataset. The image
// appears with its whole size or not at all.
//
// It is durable when Attach has returned, which is before anybody can have
// written to it; until then a power failure, not a crash of the agent, can undo
// it. A flush of its own would cost as much as attaching.
func (b *Backend) Create(ctx context.Context, req backend.CreateRequest) (backend.Volume, error) {
	v, err := b.create(ctx, req)
	if err != nil {
		return backend.Volume{}, wrapVolume("create", req.DatasetID, err)
	}
	return v, nil
}

func (b *Backend) create(ctx context.Context, req backend.CreateRequest) (backend.Volume, error) {
	if !isName(req.DatasetID) {
		return backend.Volume{}, errors.New("the dataset id must be a plain file name")
	}
	if req.Size <= 0 || req.Size%b.config.AllocationUnit != 0 {
		return backend.Volume{}, fmt.Errorf("size %d is not a multiple of %d bytes", req.Size, b.config.AllocationUnit)
	}
	if b.maxSize > 0 && req.Size > b.maxSize {
		return backend.Volume{}, fmt.Errorf("size %d is more than the %d bytes of the largest file that the file system of %s can hold", req.Size, b.maxSize, b.root.path)
	}
	end, err := b.begin(ctx, req.DatasetID)
	if err != nil {
		return backend.Volume{}, err
	}
	defer end()
	if v, found, err := b.root.locateAttached(req.DatasetID); found || err != nil {
		return v.Volume, err
	}
	if err := b.scanOnce(); err != nil {
		return backend.Volume{}, err
	}
	if v, stray := b.asAttached(req.DatasetID, located{}, false); stray {
		return backend.Volume{}, fmt.Errorf("%w: a loop device still has the data of the old volume: %s", backend.ErrInUse, v.Lost)
	}
	// The name goes first: an image without it would be an orphan without a name.
	if req.Name != "" {
		if err := b.root.writeName(req.DatasetID, req.Name); err != nil {
			return backend.Volume{}, fmt.Errorf("name it: %w", err)
		}
	}
	fault.Point("loopback.called")
	// Whether there is one that is attached nowhere, shows when ours is to get
	// its name.
	image, err := b.root.makeImage(req.DatasetID, req.Size)
	if errors.Is(err, os.ErrExist) {
		v, found, err := b.root.locate(req.DatasetID)
		if err == nil && !found {
			err = errors.New("it vanished while it was looked at")
		}
		return v.Volume, err
	}
	if err != nil {
		return backend.Volume{}, err
	}
	defer image.Close()
	fault.Point("loopback.created")
	// Had another machine made and attached one after the look above, then
	// ours must go. That takes two nodes that both think they hold the dataset.
	v, found, err := b.root.locateAttached(req.DatasetID)
	if err != nil {
		return backend.Volume{}, err
	}
	if found {
		return v.Volume, b.root.removeOurs(req.DatasetID, image)
	}
	return backend.Volume{ID: req.DatasetID, DatasetID: req.DatasetID, Name: req.Name, Size: req.Size, Zone: b.root.zone}, nil
}

// makeImage makes an image of a size with its name: os.ErrExist if there is
// one already. A crash leaves nothing.
func (r *root) makeImage(volumeID string, size int64) (*os.File, error) {
	fd, err := unix.Open(r.unattached(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EINVAL) {
		return r.makeNamedImage(volumeID, size)
	}
	if err != nil {
		return nil, &os.PathError{Op: "make image in", Path: r.unattached(), Err: err}
	}
	image := os.NewFile(uintptr(fd), r.free(volumeID))
	if err := image.Truncate(size); err != nil {
		image.Close()
		return nil, err
	}
	fault.Point("loopback.made")
	if err := linkUnnamed(image, r.free(volumeID)); err != nil {
		image.Close()
		return nil, err
	}
	return image, nil
}

// linkUnnamed gives a file its first name.
func linkUnnamed(f *os.File, path string) error {
	err := unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) { // so it says where a capability is missing
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	return linkError("link", "new image", path, err)
}

// makeNamedImage is makeImage for file systems without unnamed files, such as
// NFS. What a crash leaves is removed at the next start.
func (r *root) makeNamedImage(volumeID string, size int64) (*os.File, error) {
	image, err := os.CreateTemp(r.unattached(), leftoverPrefix)
	if err != nil {
		return nil, err
	}
	temporary := image.Name()
	err = lock(image)
	if err == nil {
		err = image.Truncate(size)
	}
	fault.Point("loopback.named")
	if err == nil {
		err = publish(temporary, r.free(volumeID))
	}
	if err != nil {
		_ = os.Remove(temporary)
		release(image)
		return nil, err
	}
	_ = unix.Flock(int(image.Fd()), unix.LOCK_UN)
	return image, nil
}

// removeOurs removes the image that was just made, and no other.
func (r *root) removeOurs(volumeID string, image *os.File) error {
	ours, err := isAt(image, r.free(volumeID))
	if err != nil || !ours {
		return err
	}
	return os.Remove(r.free(volumeID))
}

// isAt reports whether an open file is the one at path.
func isAt(f *os.File, path string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	there, err := fileID(path)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return there == idOf(&st), nil
}

// Destroy removes an image that is attached nowhere.
func (b *Backend) Destroy(ctx context.Context, volumeID string) error {
	return wrapVolume("destroy", volumeID, b.destroy(ctx, volumeID))
}

func (b *Backend) destroy(ctx context.Context, volumeID string) error {
	if !isName(volumeID) {
		return nil // there can't be one
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return err
	}
	defer end()
	v, found, err := b.root.locate(volumeID)
	if err != nil {
		return err
	}
	if !found {
		if err := b.checkRoot(); err != nil {
			return err
		}
		return b.root.removeName(volumeID) // which a crash left
	}
	if v.AttachedTo != "" {
		return fmt.Errorf("%w: it is attached to %s", backend.ErrInUse, v.AttachedTo)
	}
	path := b.root.free(volumeID)
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: it was attached just now", backend.ErrInUse)
	}
	if err != nil {
		return err
	}
	defer release(image)
	if err := lock(image); err != nil {
		return lockedError(err)
	}
	if there, err := isAt(image, path); err != nil || !there {
		return errors.Join(fmt.Errorf("%w: it was attached just now", backend.ErrInUse), err)
	}
	// The name goes first: once the image is gone, the volume counts as destroyed
	// and Destroy is not called again.
	if err := b.root.removeName(volumeID); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	fault.Point("loopback.removed")
	return syncDirectory(b.root.unattached())
}

// lockedError says what it means that the lock could not be had.
func lockedError(err error) error {
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: its image is locked, as a loop device or another agent does", backend.ErrInUse)
	}
	return fmt.Errorf("lock image: %w", err)
}
