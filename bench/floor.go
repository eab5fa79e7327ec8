package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The floors: what a volume costs with nothing around it.

var mkfsArgs = []string{"-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"}

// rawVolume is a volume made by system calls alone, mkfs excepted.
type rawVolume struct {
	image, target string
	device        *os.File
}

// rawUp creates, attaches, formats and mounts a volume of a GiB.
func rawUp(dir, name string) (_ *rawVolume, err error) {
	v := &rawVolume{image: filepath.Join(dir, name+".img"), target: filepath.Join(dir, name+".mnt")}
	if err := os.Mkdir(v.target, 0o700); err != nil {
		return nil, err
	}
	image, err := os.OpenFile(v.image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = image.Close() }()
	if err := image.Truncate(gigabyte); err != nil {
		return nil, err
	}
	if v.device, err = rawAttach(image); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mkfs.ext4", append(mkfsArgs, v.device.Name())...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs: %w: %s", err, out)
	}
	return v, unix.Mount(v.device.Name(), v.target, "ext4", 0, "")
}

func rawAttach(image *os.File) (*os.File, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ctl.Close() }()
	for {
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
}

// down unmounts and detaches.
func (v *rawVolume) down() error {
	if err := unix.Unmount(v.target, 0); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(v.device.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
		return err
	}
	return v.device.Close()
}

// attachAgain attaches a volume that was taken down.
func (v *rawVolume) attachAgain() error {
	image, err := os.OpenFile(v.image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	v.device, err = rawAttach(image)
	return err
}

// check repairs the file system of a volume that is attached, if need be.
func (v *rawVolume) check() error {
	out, err := exec.Command("e2fsck", "-p", v.device.Name()).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil // it has repaired something
	}
	if err != nil {
		return fmt.Errorf("e2fsck: %w: %s", err, out)
	}
	return nil
}

// mountAgain mounts a volume that is attached.
func (v *rawVolume) mountAgain() error {
	return unix.Mount(v.device.Name(), v.target, "ext4", 0, "")
}

func (v *rawVolume) remove() error { return errors.Join(os.Remove(v.image), os.Remove(v.target)) }

// shellVolume is a volume made as by hand: a process a step.
type shellVolume struct{ image, target, device string }

func shell(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func shellUp(dir, name string, size int64) (*shellVolume, error) {
	v := &shellVolume{image: filepath.Join(dir, name+".img"), target: filepath.Join(dir, name+".mnt")}
	if err := os.Mkdir(v.target, 0o700); err != nil {
		return nil, err
	}
	if _, err := shell("truncate", "-s", fmt.Sprint(size), v.image); err != nil {
		return nil, err
	}
	var err error
	if v.device, err = shell("losetup", "-f", "--show", v.image); err != nil {
		return nil, err
	}
	if _, err := shell("mkfs.ext4", "-q", "-F", v.device); err != nil {
		return nil, err
	}
	_, err = shell("mount", "-t", "ext4", v.device, v.target)
	return v, err
}

func (v *shellVolume) down() error {
	if _, err := shell("umount", v.target); err != nil {
		return err
	}
	_, err := shell("losetup", "-d", v.device)
	return err
}

func (v *shellVolume) remove() error { return errors.Join(os.Remove(v.image), os.Remove(v.target)) }
