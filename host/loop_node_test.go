package host_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// A container's own /dev gets no files for the devices that the kernel makes. The test
// runs in a process with such a /dev.
func TestLoopDevicesWithAStaticDev(t *testing.T) {
	const inside = "FLOCKER_TEST_STATIC_DEV"
	cases := map[string]func(t *testing.T){
		"missing node is made": func(t *testing.T) {
			image := newImage(t, mib)
			loop, err := host.AttachLoop(t.Context(), image, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := host.DeviceNumber(loop.Path()); err != nil {
				t.Error(err)
			}
			// The agent may find itself in another /dev when it starts again.
			for _, each := range []func() error{
				func() error { _, err := host.StatLoop(loop.Number); return err },
				func() error { return host.DetachLoop(loop.Number, loop.Backing) },
			} {
				if err := os.Remove(loop.Path()); err != nil {
					t.Fatal(err)
				}
				if err := each(); err != nil {
					t.Error(err)
				}
			}
			if _, err := host.StatLoop(loop.Number); !errors.Is(err, host.ErrNoLoop) {
				t.Errorf("StatLoop of a detached device = %v", err)
			}
		},
		"missing loop-control is made": func(t *testing.T) {
			if err := os.Remove("/dev/loop-control"); err != nil {
				t.Fatal(err)
			}
			attach(t, newImage(t, mib))
		},
		"read-only /dev": func(t *testing.T) {
			remount(t, unix.MS_RDONLY)
			wantRefusal(t, "/dev/loop", " is missing: the kernel has the device, but /dev is no devtmpfs", "run mknod -m 600 /dev/loop", " b 7 ", "-v /dev:/dev")
		},
		"read-only /dev without loop-control": func(t *testing.T) {
			if err := os.Remove("/dev/loop-control"); err != nil {
				t.Fatal(err)
			}
			remount(t, unix.MS_RDONLY)
			wantRefusal(t, "/dev/loop-control is missing", "run mknod -m 600 /dev/loop-control c 10 237")
		},
		"nodev": func(t *testing.T) {
			remount(t, unix.MS_NODEV)
			wantRefusal(t, "open /dev/loop-control", "mounted nodev")
		},
		"another file in its place": func(t *testing.T) {
			loop, err := host.AttachLoop(t.Context(), newImage(t, mib), "")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(loop.Path()); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mknod(loop.Path(), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
				t.Fatal(err)
			}
			err = host.DetachLoop(loop.Number, loop.Backing)
			if err == nil || !strings.Contains(err.Error(), "is not loop device") {
				t.Errorf("DetachLoop of another device = %v", err)
			}
			if err := os.Remove(loop.Path()); err != nil {
				t.Fatal(err)
			}
			if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
				t.Error(err)
			}
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(inside) != "" {
				staticDev(t)
				test(t)
				return
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestLoopDevicesWithAStaticDev$/^"+strings.ReplaceAll(name, " ", "_")+"$", "-test.v")
			cmd.Env = append(os.Environ(), inside+"=1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestLoopDevicesWithAStaticDev/") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// staticDev gives this process' mount namespace a /dev like that of a container.
func staticDev(t *testing.T) {
	t.Helper()
	if err := unix.Mount("dev", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=1m"); err != nil {
		t.Fatal(err)
	}
	for path, minor := range map[string]uint32{"/dev/null": 3, "/dev/zero": 5, "/dev/urandom": 9} {
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mknod("/dev/loop-control", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 237))); err != nil {
		t.Fatal(err)
	}
}

func remount(t *testing.T, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", "/dev", "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		t.Fatal(err)
	}
}

// wantRefusal checks that no loop device is made, for a reason with all the given parts.
func wantRefusal(t *testing.T, parts ...string) {
	t.Helper()
	loop, err := host.AttachLoop(t.Context(), newImage(t, mib), "")
	if err == nil {
		_ = host.DetachLoop(loop.Number, loop.Backing)
		t.Fatal("a loop device was made")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("refused with %q, want %q in it", err, part)
		}
	}
}
