package loopback

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// Grow makes an image larger, and has its loop device show that. The new part
// takes no room before it is written to, as with a new volume. But for a file
// system that has data in it to grow into a storage which is full would harm it:
// so there has to be room for what a file system writes of itself.
//
// The larger image is durable before the kernel shows it, and so before anybody
// can have written to it.
func (b *Backend) Grow(ctx context.Context, volumeID string, size int64) (backend.Volume, error) {
	v, err := b.grow(ctx, volumeID, size)
	if err != nil {
		return backend.Volume{}, wrapVolume("grow", volumeID, err)
	}
	return v, nil
}

func (b *Backend) grow(ctx context.Context, volumeID string, size int64) (backend.Volume, error) {
	if !isName(volumeID) {
		return backend.Volume{}, backend.ErrUnknownVolume
	}
	if size <= 0 || size%b.config.AllocationUnit != 0 {
		return backend.Volume{}, fmt.Errorf("size %d is not a multiple of %d bytes", size, b.config.AllocationUnit)
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return backend.Volume{}, err
	}
	defer end()
	image, err := b.openClaimable(volumeID)
	if errors.Is(err, os.ErrNotExist) {
		return backend.Volume{}, fmt.Errorf("%w: it was attached just now", backend.ErrInUse)
	}
	if err != nil {
		return backend.Volume{}, err
	}
	switch err := lock(image); {
	case errors.Is(err, unix.EWOULDBLOCK):
		defer image.Close()
		return b.growAttached(volumeID, image, size)
	case err != nil:
		image.Close()
		return backend.Volume{}, fmt.Errorf("lock image: %w", err)
	}
	defer release(image)
	return b.growLocked(volumeID, image, size)
}

// growAttached grows an image that somebody has locked: the loop device of this
// machine, or it is none of its business.
func (b *Backend) growAttached(volumeID string, image *os.File, size int64) (backend.Volume, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return backend.Volume{}, err
	}
	if err := b.lockedImage(volumeID, idOf(&st)); err != nil {
		return backend.Volume{}, err
	}
	loop, ok := b.remembered(volumeID, idOf(&st))
	if !ok {
		return backend.Volume{}, fmt.Errorf("%w: its loop device vanished while it was looked at", backend.ErrNotReady)
	}
	size, err := b.extend(image, size)
	if err != nil {
		return backend.Volume{}, err
	}
	if loop.Size < size {
		if loop, err = host.ResizeLoop(loop.Number, loop.Backing); err != nil {
			return backend.Volume{}, err
		}
		b.remember(volumeID, loop)
	}
	return backend.Volume{ID: volumeID, DatasetID: volumeID, Name: b.root.readName(volumeID), Size: size, AttachedTo: b.config.InstanceID, Zone: b.root.zone}, nil
}

// growLocked grows an image that no loop device shows, and whose lock the caller
// has.
func (b *Backend) growLocked(volumeID string, image *os.File, size int64) (backend.Volume, error) {
	v := backend.Volume{ID: volumeID, DatasetID: volumeID, Name: b.root.readName(volumeID), Zone: b.root.zone}
	free, err := isAt(image, b.root.free(volumeID))
	if err != nil {
		return backend.Volume{}, err
	}
	if !free {
		here, err := isAt(image, b.root.here(volumeID))
		if err != nil || !here {
			return backend.Volume{}, errors.Join(fmt.Errorf("%w: it was attached just now", backend.ErrInUse), err)
		}
		v.AttachedTo = b.config.InstanceID // its device will have the size when it is made
	}
	v.Size, err = b.extend(image, size)
	return v, err
}

// extend makes an image at least as large as size and returns how large it is.
func (b *Backend) extend(image *os.File, size int64) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return 0, err
	}
	if err := checkImage(&st); err != nil {
		return 0, err
	}
	if st.Size < size {
		if err := checkRoom(image, size-st.Size); err != nil {
			return 0, err
		}
		if err := image.Truncate(size); err != nil {
			return 0, err
		}
		fault.Point("loopback.extended")
	}
	// Also what an earlier call has extended before it was cut off.
	if err := image.Sync(); err != nil {
		return 0, fmt.Errorf("flush image: %w", err)
	}
	return max(size, st.Size), nil
}

// A file system that grows writes, of itself, less than a thousandth of what it
// gains (ext4: two bitmaps and a descriptor for each 128 MiB), and a little
// more that does not depend on that.
const (
	growthShare = 1000
	growthLeast = 16 << 20
)

// checkRoom reports why an image must not grow by some bytes.
func checkRoom(image *os.File, growth int64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(image.Fd()), &fs); err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	need := growthLeast + growth/growthShare
	if room := int64(fs.Bavail) * fs.Frsize; fs.Blocks > 0 && room < need {
		return fmt.Errorf("%w: the storage has %d MiB free, and a file system that grows by %d MiB has to write up to %d MiB of its own",
			backend.ErrNoSpace, room>>20, growth>>20, need>>20)
	}
	return nil
}
