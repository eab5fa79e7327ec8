package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
)

// MinXFSSize is the smallest device in bytes that mkfs.xfs accepts.
const MinXFSSize = 300 << 20

// NotBlankError says that a device was not formatted because of what it
// carries.
type NotBlankError struct {
	Device    string
	Signature Signature
}

func (e *NotBlankError) Error() string {
	return fmt.Sprintf("device %s is not blank, it carries %s", e.Device, e.Signature)
}

// Formatter makes file systems. It keeps what it has learned of a size for the
// next device of that size. The zero value is ready for use.
type Formatter struct {
	mu     sync.Mutex
	images map[int64]*ext4Image // by the size of the device in bytes
	bytes  int64                // of all images
}

// Bounds of the memory that formatting takes. The image for 1 GiB has 0.7 MB,
// for 1 TiB 16 MB.
const (
	maxImages     = 64 << 20  // bytes of all images that a Formatter keeps
	maxImageCount = 64        // each has an open file
	maxImageSize  = 256 << 30 // bytes of the largest device that gets an image
)

// Format is a Formatter's for one time, and for Anyone.
func Format(ctx context.Context, dev Device, fs string) error {
	return new(Formatter).Format(ctx, dev, fs, Anyone)
}

// Format makes a file system on a blank device: "ext4" or "xfs". Its root
// directory belongs to root. It looks for
// itself immediately before, and refuses anything that is not blank with a
// *NotBlankError, and a device in use with ErrBusy. When ctx ends or the process
// dies, the device probes as blank and interrupted, and can be formatted again.
// An mkfs that outlives this process makes the device busy until it has ended.
func (f *Formatter) Format(ctx context.Context, dev Device, fs string, root Owner) error {
	var err error
	switch fs {
	case "ext4":
		err = f.formatExt4(ctx, dev, root)
	case "xfs":
		err = formatXFS(ctx, dev, root)
	default:
		err = errors.New("unknown file system")
	}
	if err != nil {
		return fmt.Errorf("make file system %s on %s: %w", fs, dev.Path, err)
	}
	fault.Point("host.formatted")
	return nil
}

func (f *Formatter) formatExt4(ctx context.Context, dev Device, root Owner) error {
	device, _, err := claimBlank(dev)
	if err != nil {
		return err
	}
	defer device.Close()
	size, err := deviceSize(int(device.Fd()))
	if err != nil {
		return err
	}
	if err := directIO(device, false); err != nil {
		return err
	}
	if size > maxImageSize {
		return formatInPlace(ctx, device, size, root)
	}
	image, err := f.image(ctx, size)
	if err != nil {
		return err
	}
	return image.copyTo(ctx, device, root)
}

// image returns the image for a device of a size, from memory if there is one.
func (f *Formatter) image(ctx context.Context, size int64) (*ext4Image, error) {
	f.mu.Lock()
	image := f.images[size]
	f.mu.Unlock()
	if image != nil {
		return image, nil
	}
	image, err := makeExt4Image(ctx, size)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+image.bytes > maxImages || len(f.images) >= maxImageCount {
		// One that is being copied from is closed when nobody refers to it.
		f.images, f.bytes = nil, 0
	}
	if f.images == nil {
		f.images = map[int64]*ext4Image{}
	}
	if f.images[size] == nil && image.bytes <= maxImages {
		f.images[size] = image
		f.bytes += image.bytes
	}
	return image, nil
}

// claimBlank opens a device exclusively and makes sure that it is blank.
func claimBlank(dev Device) (*os.File, Signature, error) {
	device, err := openProbed(dev.Path, unix.O_RDWR)
	if err != nil {
		return nil, Signature{}, err
	}
	sig, err := probe(device, dev.Image)
	if err == nil && sig.Kind != Blank {
		err = &NotBlankError{Device: dev.Path, Signature: sig}
	}
	if err != nil {
		device.Close()
		return nil, Signature{}, err
	}
	return device, sig, nil
}

// formatXFS lets mkfs.xfs write to the device. Until it has come to its end, it
// says so in the superblock.
func formatXFS(ctx context.Context, dev Device, root Owner) error {
	device, sig, err := claimBlank(dev)
	if err != nil {
		return err
	}
	defer device.Close()
	size, err := deviceSize(int(device.Fd()))
	if err != nil {
		return err
	}
	if size < MinXFSSize {
		return fmt.Errorf("device has %d bytes, XFS needs at least %d (300 MiB)", size, MinXFSSize)
	}
	if sig.Interrupted {
		// mkfs.xfs refuses what another one left.
		if _, err := device.WriteAt(alignedBuffer(ext4Block), 0); err != nil {
			return fmt.Errorf("erase what an interrupted format left: %w", err)
		}
	}
	// It wants to open the device exclusively itself.
	if err := device.Close(); err != nil {
		return err
	}
	fault.Point("host.format-begun")
	return makeXFS(ctx, dev.Path, size, root)
}

// Check repairs what e2fsck repairs without asking on an ext4 whose Signature
// is not clean: mostly, it replays the journal. It does nothing to a clean one
// and to XFS, which the kernel replays itself. ErrBusy if the device is in use.
func Check(ctx context.Context, dev Device) error {
	sig, err := Probe(dev)
	if err != nil {
		return err
	}
	if sig.Kind != Filesystem || sig.Clean {
		return nil
	}
	// Bits: 1, errors corrected; 2, the machine should be rebooted if the file
	// system is mounted, which it is not. From 4 on, errors are left.
	const corrected = 1 | 2
	config, err := configFile("e2fsck.conf", e2fsckConfig)
	if err != nil {
		return err
	}
	defer config.Close()
	e2fsck := program{
		name: "e2fsck", args: []string{"-p", dev.Path}, accepted: corrected,
		env: []string{"E2FSCK_CONFIG=/proc/self/fd/3"}, files: []*os.File{config},
	}
	if err := e2fsck.run(ctx); err != nil {
		return fmt.Errorf("check file system on %s: %w", dev.Path, err)
	}
	fault.Point("host.checked")
	return nil
}
