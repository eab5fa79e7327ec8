package host_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/host/hosttest"
)

// copyOf returns a device with the same content.
func copyOf(t *testing.T, dev host.Device) host.Device {
	t.Helper()
	image := newImage(t, 0)
	run(t, "cp", "--sparse=always", dev.Image, image.Name())
	return host.Device{Path: attach(t, image).Path(), Image: image.Name()}
}

// kernelLog skips a test where the kernel's log cannot be read.
func kernelLog(t *testing.T) *host.KernelLog {
	t.Helper()
	log, err := host.OpenKernelLog()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(log.Close)
	return log
}

func TestAMountFailsWithWhatTheKernelSays(t *testing.T) {
	kernelLog(t)
	t.Run("XFS with a UUID that is mounted", func(t *testing.T) {
		dev := formatted(t, "xfs")
		twin := copyOf(t, dev)
		mount(t, dev, "xfs")
		target := t.TempDir()
		err := host.Mount(twin.Path, target, "xfs", 0)
		if err == nil || !strings.Contains(err.Error(), "the kernel says: XFS (") || !strings.Contains(err.Error(), "duplicate UUID") {
			t.Errorf("got %v, want the kernel's reason", err)
		}
		same, err := host.SameUUID(twin.Path)
		if err != nil || len(same) != 1 || same[0].Device != deviceNumber(t, dev) {
			t.Errorf("same UUID: got %+v, %v, want the mount of %s", same, err, dev.Path)
		}
		if err := host.MountCopy(twin.Path, target, 0); err != nil {
			t.Fatal(err)
		}
		unmount(t, target)
	})
	t.Run("ext4 with damaged group descriptors", func(t *testing.T) {
		dev := formatted(t, "ext4")
		writeAt(t, dev.Path, strings.Repeat("\xff", 4096), 4096)
		err := host.Mount(dev.Path, t.TempDir(), "ext4", 0)
		if err == nil || !strings.Contains(err.Error(), "the kernel says: EXT4-fs (") {
			t.Errorf("got %v, want the kernel's reason", err)
		}
	})
}

func TestTheKernelsLogHasOnlyWhatIsNew(t *testing.T) {
	log := kernelLog(t)
	dev := formatted(t, "ext4")
	target := mount(t, dev, "ext4")
	log.Read()
	hosttest.ShutDown(t, target)
	name := host.DeviceName(deviceNumber(t, dev))
	lines, _ := log.Read()
	found := false
	for _, l := range lines {
		if l.Concerns(name) && strings.Contains(l.Text, "mounted filesystem") {
			t.Errorf("an old line is there: %q", l.Text)
		}
		found = found || l.Concerns(name) && strings.Contains(l.Text, "shut down requested")
	}
	if !found {
		t.Errorf("the shutdown of %s is not among %d lines", name, len(lines))
	}
}
