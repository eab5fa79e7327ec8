package loopback_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

// BenchmarkCreateAttachDetach compares the backend with the bare system calls.
// Compare the ratios of one run; the machine decides the rest.
func BenchmarkCreateAttachDetach(b *testing.B) {
	b.Run("backend", func(b *testing.B) {
		driver, err := loopback.New(loopback.Config{RootPath: b.TempDir(), InstanceID: "alpha"})
		if err != nil {
			b.Fatal(err)
		}
		ctx := b.Context()
		n := 0
		for b.Loop() {
			n++
			id := strconv.Itoa(n)
			if _, err := driver.Create(ctx, backend.CreateRequest{DatasetID: id, Size: volumeSize}); err != nil {
				b.Fatal(err)
			}
			if err := driver.Attach(ctx, id, "alpha"); err != nil {
				b.Fatal(err)
			}
			if err := driver.Detach(ctx, id, "alpha", backend.DetachNormal); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("system calls", func(b *testing.B) {
		dir := b.TempDir()
		n := 0
		for b.Loop() {
			n++
			if err := rawCreateAttachDetach(filepath.Join(dir, strconv.Itoa(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func rawCreateAttachDetach(path string) error {
	image, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer image.Close()
	if err := image.Truncate(volumeSize); err != nil {
		return err
	}
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer ctl.Close()
	number, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return err
	}
	device, err := os.OpenFile("/dev/loop"+strconv.Itoa(number), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	config := unix.LoopConfig{Fd: uint32(image.Fd())}
	config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
}
