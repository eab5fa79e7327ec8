package loopback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// Attach locks the image, moves it to this instance's directory and puts a
// loop device on it. A crash in between leaves it in the directory without a
// device; Device says ErrNotAttached then, and Attach again goes on from there.
func (b *Backend) Attach(ctx context.Context, volumeID, instanceID string) error {
	return wrapVolume("attach", volumeID, b.attach(ctx, volumeID, instanceID, noEpoch))
}

func (b *Backend) attach(ctx context.Context, volumeID, instanceID string, epoch uint64) error {
	if instanceID != b.config.InstanceID {
		return fmt.Errorf("only the agent of %s can attach to it, and this is %s", instanceID, b.config.InstanceID)
	}
	if !isName(volumeID) {
		return backend.ErrUnknownVolume
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return err
	}
	defer end()
	if b.isStray(volumeID) {
		return nil // attached, and List says what is wrong
	}
	image, done, err := b.claim(volumeID, epoch)
	if err != nil || done {
		return err
	}
	flushed := flushIfFresh(image)
	loop, err := host.AttachLoop(ctx, image, b.loopName(volumeID))
	flushErr := <-flushed
	if err != nil {
		return errors.Join(err, b.giveBack(volumeID, image))
	}
	fault.Point("loopback.attached")
	if flushErr != nil {
		// Not given back, and the lock not given up: only when the device
		// is gone for sure, as Detach finds out, may the image move.
		return errors.Join(flushErr, host.DetachLoop(loop.Number, loop.Backing), image.Close())
	}
	b.remember(volumeID, loop)
	// Without giving up the lock: it is the device's now.
	return image.Close()
}

// flushIfFresh gets the name of an image that was never written to on disk,
// while the kernel makes the device: before anybody relies on it, and without
// taking longer. Others need no flush, since a power failure that undoes the
// move takes the loop device along. The caller receives the outcome.
func flushIfFresh(image *os.File) <-chan error {
	flushed := make(chan error, 1)
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil || st.Blocks > 0 {
		flushed <- err
		return flushed
	}
	go func() { flushed <- image.Sync() }()
	return flushed
}

// claim returns the image, locked and in this instance's directory; or done,
// if it is attached already.
func (b *Backend) claim(volumeID string, epoch uint64) (image *os.File, done bool, err error) {
	// Each round that fails means that another machine moved the image
	// between two steps.
	for range 10 {
		image, err := b.openClaimable(volumeID)
		if err != nil {
			return nil, false, err
		}
		claimed, done, err := b.claimOpen(volumeID, image, epoch)
		if err == nil && claimed {
			return image, false, nil
		}
		image.Close()
		if done || err != nil {
			return nil, done, err
		}
	}
	return nil, false, errors.New("other machines keep moving it")
}

// openClaimable opens the image where this machine may claim it.
func (b *Backend) openClaimable(volumeID string) (*os.File, error) {
	for _, path := range []string{b.root.free(volumeID), b.root.here(volumeID)} {
		image, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return image, err
		}
	}
	v, found, err := b.root.locate(volumeID)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, b.unknown()
	case v.AttachedTo != "" && v.AttachedTo != b.config.InstanceID:
		return nil, &backend.AttachedElsewhereError{VolumeID: volumeID, Instance: v.AttachedTo}
	default: // detached just now
		return os.OpenFile(b.root.free(volumeID), os.O_RDWR, 0)
	}
}

// unknown is the error for a volume that was not found, unless that is because
// the whole storage is gone.
func (b *Backend) unknown() error {
	if err := b.checkRoot(); err != nil {
		return err
	}
	return backend.ErrUnknownVolume
}

// claimOpen makes an open image this machine's: claimed, locked and in the
// right directory; or done, if it is attached already; or neither, if it was
// moved meanwhile.
func (b *Backend) claimOpen(volumeID string, image *os.File, epoch uint64) (claimed, done bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return false, false, err
	}
	switch err := lock(image); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, true, b.lockedImage(volumeID, idOf(&st))
	case err != nil:
		return false, false, fmt.Errorf("lock image: %w", err)
	}
	defer func() {
		if !claimed {
			_ = unix.Flock(int(image.Fd()), unix.LOCK_UN)
		}
	}()
	if err := checkImage(&st); err != nil {
		return false, false, err
	}
	if err := raiseEpoch(image, epoch); err != nil {
		return false, false, err
	}
	err = b.moveHere(volumeID)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, false, err
	}
	// It may have been another image, made after this one was destroyed.
	claimed, err = isAt(image, b.root.here(volumeID))
	if claimed {
		fault.Point("loopback.claimed")
	}
	return claimed, false, err
}

// moveHere moves an image to this instance's directory: os.ErrNotExist if it
// is not among the unattached ones.
func (b *Backend) moveHere(volumeID string) error {
	err := move(b.root.free(volumeID), b.root.here(volumeID))
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w: there are two images of it: %s and %s", backend.ErrDamaged,
			b.root.free(volumeID), b.root.here(volumeID))
	case errors.Is(err, os.ErrNotExist):
		// The directory may be what is missing.
		dir := b.root.at(b.config.InstanceID, "")
		if mkdirErr := os.Mkdir(dir, 0o700); mkdirErr == nil {
			return move(b.root.free(volumeID), b.root.here(volumeID))
		}
	}
	return err
}

// checkImage refuses an image that can't be a volume.
func checkImage(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%w: its image is not a regular file", backend.ErrDamaged)
	case st.Size == 0:
		return fmt.Errorf("%w: its image is empty", backend.ErrDamaged)
	case st.Size%sectorSize != 0:
		return fmt.Errorf("%w: its image has %d bytes, which is not a multiple of %d: it was cut short",
			backend.ErrDamaged, st.Size, sectorSize)
	default:
		return nil
	}
}

// lockedImage says what it means that somebody has locked the image: nil if it
// is a loop device of this machine and the volume is attached.
func (b *Backend) lockedImage(volumeID string, id host.FileID) error {
	v, found, err := b.root.locate(volumeID)
	switch {
	case err != nil:
		return err
	case !found:
		return b.unknown()
	case v.AttachedTo == "":
		// Another machine attaches or detaches it at this moment.
		return &backend.AttachedElsewhereError{VolumeID: volumeID}
	case v.AttachedTo != b.config.InstanceID:
		return &backend.AttachedElsewhereError{VolumeID: volumeID, Instance: v.AttachedTo}
	}
	if _, ok := b.remembered(volumeID, id); ok {
		return nil
	}
	loop, ok, err := findLoop(id)
	switch {
	case err != nil:
		return err
	case !ok || loop.Clearing:
		return lockedBy(id)
	}
	b.remember(volumeID, loop)
	return nil
}

// lockedBy says what has the lock of an image, as this machine's kernel knows.
func lockedBy(id host.FileID) error {
	loop, ok, err := findLoop(id)
	if err != nil {
		return err
	}
	if ok && loop.Clearing {
		return &backend.InUseError{Device: loop.Path(), Why: fmt.Sprintf("%s is being detached, and is still open", loop.Path())}
	}
	if ok {
		return &backend.InUseError{Device: loop.Path(), Why: fmt.Sprintf("%s shows its image", loop.Path())}
	}
	holders := host.LockHolders(id)
	if len(holders) == 0 {
		return fmt.Errorf("%w: its image is locked, and no loop device or visible process of this machine has the lock: "+
			"another machine has it, or a process keeps the lock of one that has ended", backend.ErrInUse)
	}
	names := make([]string, len(holders))
	for i, p := range holders {
		names[i] = p.String()
	}
	return fmt.Errorf("%w: its image is locked by %s", backend.ErrInUse, strings.Join(names, ", "))
}

// giveBack undoes claim.
func (b *Backend) giveBack(volumeID string, image *os.File) error {
	defer release(image)
	return move(b.root.here(volumeID), b.root.free(volumeID))
}

// Detach clears the loop device, waits until the lock says that the kernel has
// let go of the image, and moves it back; in this order, so that a volume which
// looks detached is. From another instance it is detached only if nobody has
// the lock, whatever the mode: see the package's comment.
func (b *Backend) Detach(ctx context.Context, volumeID, instanceID string, _ backend.DetachMode) error {
	return wrapVolume("detach", volumeID, b.detach(ctx, volumeID, instanceID))
}

func (b *Backend) detach(ctx context.Context, volumeID, instanceID string) error {
	if !isName(volumeID) {
		return backend.ErrUnknownVolume
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return err
	}
	defer end()
	path := b.root.at(instanceID, volumeID)
	if !isName(instanceID) {
		path = "" // there can't be one
	}
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		if instanceID == b.config.InstanceID {
			if freed, err := b.freeStray(volumeID, host.FileID{}); freed || err != nil {
				return err
			}
		}
		if _, found, err := b.root.locate(volumeID); found || err != nil {
			return err
		}
		return b.unknown()
	}
	if err != nil {
		return err
	}
	defer release(image)
	if instanceID == b.config.InstanceID {
		var st unix.Stat_t
		if err := unix.Fstat(int(image.Fd()), &st); err != nil {
			return err
		}
		if _, err := b.freeStray(volumeID, idOf(&st)); err != nil {
			return err
		}
	}
	if err := b.lockDetached(ctx, volumeID, instanceID, image); err != nil {
		return err
	}
	if b.root.flushes {
		if err := image.Sync(); err != nil {
			return fmt.Errorf("flush image: %w", err)
		}
	}
	err = move(path, b.root.free(volumeID))
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w: there are two images of it: %s and %s", backend.ErrDamaged, path, b.root.free(volumeID))
	case errors.Is(err, os.ErrNotExist):
		return nil // another one was quicker
	case err != nil:
		return err
	}
	fault.Point("loopback.returned")
	if instanceID == b.config.InstanceID {
		b.forget(volumeID)
	}
	return nil
}

// lockDetached takes the lock of an image, after removing the loop device that
// has it if it is one of this machine: ErrInUse if somebody keeps it.
func (b *Backend) lockDetached(ctx context.Context, volumeID, instanceID string, image *os.File) error {
	switch err := lock(image); {
	case err == nil:
		return nil
	case instanceID != b.config.InstanceID || !errors.Is(err, unix.EWOULDBLOCK):
		return lockedError(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return err
	}
	// The device that it had; or else, the one that has it.
	if loop, ok := b.last(volumeID); ok {
		if err := host.DetachLoop(loop.Number, idOf(&st)); err != nil {
			return err
		}
	}
	if lock(image) != nil {
		loop, ok, err := findLoop(idOf(&st))
		if err != nil {
			return err
		}
		if ok {
			if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
				return err
			}
		}
		if err := waitForLock(ctx, image); err != nil {
			if errors.Is(err, backend.ErrInUse) {
				return errors.Join(lockedBy(idOf(&st)), ctx.Err())
			}
			return err
		}
	}
	fault.Point("loopback.cleared")
	return nil
}

// The kernel lets go of an image when the last one closes the loop device. That
// may be a udev that looks at every device which changes.
const (
	lockPatience = 2 * time.Second
	lockPause    = time.Millisecond
)

func waitForLock(ctx context.Context, image *os.File) error {
	deadline := time.NewTimer(lockPatience)
	defer deadline.Stop()
	for pause := lockPause; ; pause *= 2 {
		err := lock(image)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return lockedError(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-deadline.C:
			timer.Stop()
			return lockedError(err)
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(lockedError(err), ctx.Err())
		}
	}
}
