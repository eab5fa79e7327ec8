package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// TrimLoops removes the idle loop devices from number keep on. The kernel
// keeps each device that was ever used, and every program that looks through
// /sys/block then passes by all of them.
func TrimLoops(keep int) error {
	nodes, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return err
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("trim loop devices: %w", err)
	}
	defer control.Close()
	// Each takes tens of milliseconds, in which the kernel mostly waits.
	var group errgroup.Group
	group.SetLimit(64)
	for _, node := range nodes {
		number, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(node), "loop"))
		if err != nil || number < keep {
			continue
		}
		group.Go(func() error {
			err := unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_REMOVE, number)
			if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("remove loop device %d: %w", number, err)
			}
			return nil
		})
	}
	return group.Wait()
}
