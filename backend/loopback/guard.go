package loopback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
)

// epochAttribute is the extended attribute of an image that has the highest
// epoch under which it was attached, or sealed. It is read and written under the
// image's lock.
const epochAttribute = "user.flocker.epoch"

// noEpoch attaches whatever the attribute says.
const noEpoch = 0

// AttachUnder attaches a volume, unless it has been attached or sealed under a
// higher epoch. On a file system without extended attributes, such as NFS before
// version 4.2, only the lock keeps machines apart.
func (b *Backend) AttachUnder(ctx context.Context, volumeID, instanceID string, epoch uint64) error {
	return wrapVolume("attach", volumeID, b.attach(ctx, volumeID, instanceID, epoch))
}

// Seal refuses lower epochs from now on.
func (b *Backend) Seal(ctx context.Context, volumeID string, epoch uint64) error {
	return wrapVolume("seal", volumeID, b.seal(ctx, volumeID, epoch))
}

func (b *Backend) seal(ctx context.Context, volumeID string, epoch uint64) error {
	if !isName(volumeID) {
		return backend.ErrUnknownVolume
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return err
	}
	defer end()
	image, err := os.OpenFile(b.root.free(volumeID), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		v, found, err := b.root.locate(volumeID)
		switch {
		case err != nil:
			return err
		case found && v.AttachedTo != "":
			return fmt.Errorf("%w: it is attached to %s", backend.ErrInUse, v.AttachedTo)
		}
		return b.unknown()
	}
	if err != nil {
		return err
	}
	defer release(image)
	if err := lock(image); err != nil {
		return lockedError(err)
	}
	if there, err := isAt(image, b.root.free(volumeID)); err != nil || !there {
		return errors.Join(fmt.Errorf("%w: it was attached just now", backend.ErrInUse), err)
	}
	return raiseEpoch(image, epoch)
}

// raiseEpoch notes the epoch of who has the lock of an image: backend.ErrStale
// where a higher one was noted before.
func raiseEpoch(image *os.File, epoch uint64) error {
	if epoch == noEpoch {
		return nil
	}
	var text [20]byte // decimal digits of the largest
	n, err := unix.Fgetxattr(int(image.Fd()), epochAttribute, text[:])
	switch {
	case err == nil:
		seen, err := strconv.ParseUint(string(text[:n]), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: attribute %s of its image: %w", backend.ErrDamaged, epochAttribute, err)
		}
		if seen > epoch {
			return fmt.Errorf("%w (epoch %d, and it has seen %d)", backend.ErrStale, epoch, seen)
		}
		if seen == epoch {
			return nil
		}
	case errors.Is(err, unix.ENOTSUP):
		return nil
	case !errors.Is(err, unix.ENODATA):
		return fmt.Errorf("read attribute %s of image: %w", epochAttribute, err)
	}
	err = unix.Fsetxattr(int(image.Fd()), epochAttribute, strconv.AppendUint(nil, epoch, 10), 0)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("write attribute %s of image: %w", epochAttribute, err)
	}
	return nil
}

// CanWrite reports whether an instance can write to a volume: whether its image
// lies in the instance's directory and somebody has its lock. The lock lives as
// long as the loop device, and on a network file system as long as the server
// has not freed it after the machine's death.
func (b *Backend) CanWrite(ctx context.Context, volumeID, instanceID string) (verdict backend.Verdict, evidence string, err error) {
	verdict, evidence, err = b.canWrite(ctx, volumeID, instanceID)
	if err != nil {
		verdict = backend.MayWrite
	}
	return verdict, evidence, wrapVolume("look which machine can write to", volumeID, err)
}

func (b *Backend) canWrite(ctx context.Context, volumeID, instanceID string) (verdict backend.Verdict, evidence string, err error) {
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return backend.MayWrite, "", err
	}
	defer end()
	path := b.root.at(instanceID, volumeID)
	if !isName(volumeID) || !isName(instanceID) {
		return backend.CannotWrite, "there can be no such image", nil
	}
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return backend.CannotWrite, "its image is not among those attached there", b.checkRoot()
	}
	if err != nil {
		return backend.MayWrite, "", err
	}
	defer release(image)
	switch err := lock(image); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return backend.Writes, "its image is locked, as a loop device of that machine does", nil
	case err != nil:
		return backend.MayWrite, "", fmt.Errorf("lock image: %w", err)
	}
	return backend.CannotWrite, "its image is not locked any more: that machine's kernel has let go of it", nil
}
