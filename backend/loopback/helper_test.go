package loopback_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// clearLoops removes the loop devices that a failed test left.
func clearLoops(t *testing.T, dir string) {
	t.Helper()
	for _, path := range loopsOf(t, dir) {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0); err != nil {
			t.Errorf("clear %s: %v", path, err)
		}
		unix.Close(fd)
	}
}
