package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// keepLoops is the number of loop devices that a measurement starts with.
const keepLoops = 16

// fixLoopDevices brings the number of idle loop devices to keepLoops: those
// that earlier runs left behind would slow whatever scans them.
func fixLoopDevices() error {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open loop control (bench needs root): %w", err)
	}
	defer func() { _ = ctl.Close() }()
	for n := range keepLoops {
		if err := loopControl(ctl, unix.LOOP_CTL_ADD, n); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add loop device %d: %w", n, err)
		}
	}
	devices, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return err
	}
	for _, d := range devices {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(d), "loop%d", &n); err != nil || n < keepLoops {
			continue
		}
		err := loopControl(ctl, unix.LOOP_CTL_REMOVE, n)
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove loop device %d: %w", n, err)
		}
	}
	return nil
}

func loopControl(ctl *os.File, op uint, n int) error { return unix.IoctlSetInt(int(ctl.Fd()), op, n) }

func loopDevices() (int, error) {
	devices, err := filepath.Glob("/sys/block/loop*")
	return len(devices), err
}
