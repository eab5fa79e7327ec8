package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Loop is a loop device in use.
type Loop struct {
	Device  string // such as /dev/loop7
	Backing string // the file that carries it
}

// sanDir is the name of the SAN's directory in the lab's.
const sanDir = "san"

// Loops returns the loop devices whose file is below dir, a lab's directory
// or one in it.
func Loops(dir string) ([]Loop, error) {
	devices, err := os.ReadDir("/sys/block")
	if err != nil {
		return nil, err
	}
	var loops []Loop
	for _, device := range devices {
		if !strings.HasPrefix(device.Name(), "loop") {
			continue
		}
		data, err := readAttribute("/sys/block/" + device.Name() + "/loop/backing_file")
		if err != nil {
			continue // not in use
		}
		l := Loop{
			Device:  "/dev/" + device.Name(),
			Backing: strings.TrimSuffix(strings.TrimSpace(data), " (deleted)"),
		}
		// When the mount namespace in which a file was opened is gone, all that
		// the kernel still knows is its path on the SAN.
		if onSAN := filepath.Join(dir, sanDir, l.Backing); l.backedBy(onSAN) {
			l.Backing = onSAN
		}
		if strings.HasPrefix(l.Backing, dir+"/") {
			loops = append(loops, l)
		}
	}
	return loops, nil
}

// readAttribute reads a file of sysfs. Package os would note each of some million
// looks for go test, which reads its notes for minutes after the tests.
func readAttribute(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	buffer := make([]byte, os.Getpagesize()) // an attribute is no longer
	n, err := unix.Read(fd, buffer)
	return string(buffer[:max(n, 0)]), err
}

// Attached reports whether the device is carried by its file just now.
func (l Loop) Attached() bool { return l.backedBy(l.Backing) }

// backedBy reports whether the device is carried by the file at path.
func (l Loop) backedBy(path string) bool {
	var file unix.Stat_t
	if unix.Stat(path, &file) != nil {
		return false
	}
	f, err := os.Open(l.Device)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	return err == nil && info.Device == file.Dev && info.Inode == file.Ino
}

// detach lets go of the device; the kernel does it when the last user is gone.
func (l Loop) detach() error {
	f, err := os.Open(l.Device)
	if err != nil {
		return fmt.Errorf("detach %s: %w", l.Device, err)
	}
	defer f.Close()
	err = unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach %s: %w", l.Device, err)
	}
	return nil
}

// clearLoops detaches all loop devices whose file is below dir.
func clearLoops(dir string) error {
	loops, err := Loops(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range loops {
		errs = append(errs, l.detach())
	}
	return errors.Join(errs...)
}

// owns reports whether a loop device was attached by this host: the loopback
// backend keeps the files of attached volumes below attached/INSTANCE.
func (h *Host) owns(l Loop) bool {
	return strings.HasPrefix(l.Backing, filepath.Join(h.lab.SAN, "attached", h.Instance)+"/")
}
