package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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

// Format makes a file system on a blank device: "ext4" or "xfs". It looks for
// itself immediately before, and refuses anything that is not blank with a
// *NotBlankError, and a device in use with ErrBusy. When ctx ends, mkfs is
// killed; the device then probes as blank and interrupted and can be formatted
// again. An mkfs that outlives this process makes the device busy until it has
// ended.
//
// On the way in: the device looks blank to mkfs, so it is not told to discard
// anything; that takes seconds on some storage. Inode tables and journal are
// left to the kernel, which fills them when there is time.
func Format(ctx context.Context, dev Device, fs string) error {
	if err := format(ctx, dev, fs); err != nil {
		return fmt.Errorf("make file system %s on %s: %w", fs, dev.Path, err)
	}
	return nil
}

func format(ctx context.Context, dev Device, fs string) error {
	var command []string
	switch fs {
	case "ext4":
		// Blocks of 4 KiB on small devices too: they are quicker, and the
		// format mark counts on it.
		command = []string{"mkfs.ext4", "-q", "-F", "-b", "4096",
			"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", dev.Path}
	case "xfs":
		command = []string{"mkfs.xfs", "-q", "-K", dev.Path}
	default:
		return errors.New("unknown file system")
	}
	held, err := claimBlank(dev, fs)
	if err != nil {
		return err
	}
	defer unix.Close(held)
	fault.Point("host.format-begun")
	if err := run(ctx, 0, command...); err != nil {
		return err
	}
	fault.Point("host.formatted")
	return nil
}

// claimBlank makes sure that a device is blank, marks it as being formatted,
// and returns it open, but no longer exclusively, which mkfs wants for itself.
// The caller closes it after mkfs: the mark then needs no flush of its own.
func claimBlank(dev Device, fs string) (int, error) {
	f, err := openProbed(dev.Path, unix.O_RDWR)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	sig, err := probe(f, dev.Image)
	if err != nil {
		return -1, err
	}
	if sig.Kind != Blank {
		return -1, &NotBlankError{Device: dev.Path, Signature: sig}
	}
	if fs == "xfs" {
		size, err := deviceSize(int(f.Fd()))
		if err != nil {
			return -1, err
		}
		if size < MinXFSSize {
			return -1, fmt.Errorf("device has %d bytes, XFS needs at least %d (300 MiB)", size, MinXFSSize)
		}
	}
	held, err := open(dev.Path, unix.O_RDWR)
	if err != nil {
		return -1, err
	}
	if err := mark(held, fs, sig.Interrupted); err != nil {
		unix.Close(held)
		return -1, fmt.Errorf("mark it as being formatted: %w", err)
	}
	return held, nil
}

// formatMark is written into the second 4 KiB of a device before mkfs.ext4
// starts. There the first group descriptors of an ext4 with blocks of 4 KiB
// lie. mkfs.ext4 writes them at its end and the superblock after them: while
// the mark is there, there was never a file system, whatever else of it is on
// the device already. XFS has a field in its superblock for that.
const (
	formatMark   = "flocker: mkfs.ext4 has begun here and has not come to its end\n"
	formatMarkAt = 4096
)

func hasFormatMark(head []byte) bool {
	return bytes.HasPrefix(head[formatMarkAt:], []byte(formatMark)) && firstData(head[:formatMarkAt], 0) < 0
}

func mark(fd int, fs string, interrupted bool) error {
	block := make([]byte, formatMarkAt)
	if interrupted {
		// What another mkfs began makes mkfs.xfs refuse the device.
		if err := writeAt(fd, block, 0); err != nil {
			return err
		}
	}
	switch {
	case fs == "ext4":
		copy(block, formatMark)
	case !interrupted:
		return nil
	}
	return writeAt(fd, block, formatMarkAt)
}

func writeAt(fd int, data []byte, at int64) error {
	return retry(func() error {
		n, err := unix.Pwrite(fd, data, at)
		if err == nil && n < len(data) {
			err = unix.EIO
		}
		return err
	})
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
	if err := run(ctx, corrected, "e2fsck", "-p", dev.Path); err != nil {
		return fmt.Errorf("check file system on %s: %w", dev.Path, err)
	}
	fault.Point("host.checked")
	return nil
}

// run runs a program; an exit code up to accepted is no error. What the program
// wrote is in the error.
func run(ctx context.Context, accepted int, command ...string) error {
	path, err := findProgram(command[0])
	if err != nil {
		return err
	}
	// Output to a file in memory: no goroutine has to copy it, and the program
	// never blocks on it.
	fd, err := unix.MemfdCreate(command[0], unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a file for the output of %s: %w", command[0], err)
	}
	output := os.NewFile(uintptr(fd), command[0])
	defer output.Close()
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Env = []string{"PATH=" + strings.Join(programDirs, ":"), "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s was stopped: %w", command[0], cause)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() && exit.ExitCode() <= accepted {
		return nil
	}
	text := make([]byte, 4096)
	n, _ := output.ReadAt(text, 0)
	return fmt.Errorf("%s: %w: %s", command[0], err, strings.Join(strings.Fields(string(text[:n])), " "))
}

// programDirs are where the programs are, whatever PATH the agent has.
var programDirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"}

func findProgram(name string) (string, error) {
	for _, dir := range programDirs {
		path := filepath.Join(dir, name)
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w (looked in %s)", name, exec.ErrNotFound, strings.Join(programDirs, ", "))
}
