package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/host/hosttest"
)

// watched is a mounted file system and its vigil, to which the kernel's log is told.
type watched struct {
	t      *testing.T
	dev    host.Device
	target string
	vigil  *host.Vigil
	log    *host.KernelLog
}

func watch(t *testing.T, dev host.Device, fs string) *watched {
	t.Helper()
	return watchFrom(t, dev, fs, kernelLog(t), 0)
}

func watchFrom(t *testing.T, dev host.Device, fs string, log *host.KernelLog, since uint64) *watched {
	t.Helper()
	w := &watched{t: t, dev: dev, target: t.TempDir(), log: log}
	if err := host.Mount(dev.Path, w.target, fs, host.Restricted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, w.target) })
	w.vigil = host.NewVigil(w.target, deviceNumber(t, dev))
	w.vigil.Since = since
	w.want(host.Healthy, "")
	return w
}

// want inspects after the kernel's log was heard.
func (w *watched) want(condition host.Condition, detail string) {
	w.t.Helper()
	lines, _ := w.log.Read()
	w.vigil.Hear(lines, time.Now())
	w.deaf(condition, detail)
}

// deaf inspects without the kernel's log.
func (w *watched) deaf(condition host.Condition, detail string) {
	w.t.Helper()
	w.vigil.Inspect(time.Now())
	got := w.vigil.Glance(time.Now())
	if got.Condition != condition || !strings.Contains(got.Detail, detail) {
		w.t.Errorf("found %q (%s), want %q (%s)", got.Condition, got.Detail, condition, detail)
	}
}

func eachFS(t *testing.T, f func(t *testing.T, fs string)) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) { f(t, fs) })
	}
}

func TestAShutdownIsFoundWithAndWithoutTheKernelsLog(t *testing.T) {
	eachFS(t, func(t *testing.T, fs string) {
		w := watch(t, formatted(t, fs), fs)
		hosttest.ShutDown(t, w.target)
		if !shows(w.dev, fs) {
			t.Log("this kernel shows no shutdown of ext4 but in its log")
		} else {
			w.deaf(host.ShutDown, "")
		}
		lines, _ := w.log.Read()
		if !w.vigil.Hear(lines, time.Now()) {
			t.Errorf("%v concern no volume", lines)
		}
		got := w.vigil.Inspect(time.Now())
		if got.Condition == host.Healthy || got.Detail == "" {
			t.Errorf("found %+v, want the kernel's words", got)
		}
	})
}

// shows reports whether the kernel shows a shutdown elsewhere than in its log.
func shows(dev host.Device, fs string) bool {
	options, _ := os.ReadFile("/proc/fs/ext4/" + filepath.Base(dev.Path) + "/options")
	return fs != "ext4" || strings.Contains(string(options), "shutdown")
}

func TestARemountIsFound(t *testing.T) {
	eachFS(t, func(t *testing.T, fs string) {
		w := watch(t, formatted(t, fs), fs)
		for _, options := range []string{"remount,ro", "remount,bind,ro"} {
			run(t, "mount", "-o", options, w.target)
			w.want(host.ReadOnly, "")
			run(t, "mount", "-o", strings.Replace(options, "ro", "rw", 1), w.target)
			w.want(host.Healthy, "")
		}
	})
}

func TestWhatCoversAMountIsFound(t *testing.T) {
	eachFS(t, func(t *testing.T, fs string) {
		for name, cover := range map[string]func(t *testing.T, w *watched){
			"tmpfs": func(t *testing.T, w *watched) { run(t, "mount", "-t", "tmpfs", "cover", w.target) },
			"a directory of the volume": func(t *testing.T, w *watched) {
				dir := filepath.Join(w.target, "dir")
				if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
					t.Fatal(err)
				}
				run(t, "mount", "--bind", dir, w.target)
			},
			"the volume itself": func(t *testing.T, w *watched) { run(t, "mount", "--bind", w.target, w.target) },
			"another volume, shut down": func(t *testing.T, w *watched) {
				mountAt(t, formatted(t, "xfs"), w.target, "xfs")
				hosttest.ShutDown(t, w.target)
			},
		} {
			t.Run(name, func(t *testing.T) {
				w := watch(t, formatted(t, fs), fs)
				cover(t, w)
				w.want(host.Covered, "")
				if name == "another volume, shut down" {
					return // unmounted by its own cleanup
				}
				unmount(t, w.target)
				w.want(host.Healthy, "")
			})
		}
	})
}

func TestAMountThatIsGoneIsFoundAndFoundAgain(t *testing.T) {
	eachFS(t, func(t *testing.T, fs string) {
		w := watch(t, formatted(t, fs), fs)
		busy, err := os.Open(w.target)
		if err != nil {
			t.Fatal(err)
		}
		run(t, "umount", "-l", w.target)
		w.want(host.Unmounted, "")
		busy.Close()
		if err := host.Mount(w.dev.Path, w.target, fs, host.Restricted); err != nil {
			t.Fatal(err)
		}
		w.want(host.Healthy, "")
		unmount(t, w.target)
		if err := os.Remove(w.target); err != nil {
			t.Fatal(err)
		}
		w.want(host.Unmounted, "")
	})
}

// TestAFullStorageIsFound lets the storage below an image run out of space.
func TestAFullStorageIsFound(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("small", small, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, small) })
	dev := newDeviceIn(t, small, 64*mib)
	format(t, dev, "ext4")
	w := watch(t, dev, "ext4")
	data := make([]byte, 48*mib)
	f, err := os.Create(filepath.Join(w.target, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, writeErr := f.Write(data)
	if err := errors.Join(writeErr, f.Sync()); err == nil {
		t.Fatal("the storage is not full")
	}
	lines, _ := w.log.Read()
	w.vigil.Hear(lines, time.Now())
	got := w.vigil.Inspect(time.Now())
	if got.Condition != host.IOErrors && got.Condition != host.Aborted || got.Detail == "" {
		t.Errorf("found %+v, want the kernel's complaints", got)
	}
	if got := w.vigil.Inspect(time.Now().Add(time.Hour)); got.Condition == host.IOErrors {
		t.Errorf("an hour later found %+v, want that forgotten", got)
	}
}

func TestAnAbortedJournalIsFound(t *testing.T) {
	w := watch(t, formatted(t, "ext4"), "ext4")
	name := filepath.Base(w.dev.Path)
	// As the kernel has an error of which only its log is left.
	if w.vigil.Hear([]host.LogLine{{Level: 3, Text: "Aborting journal on device loop-8."}, {Level: 6, Text: "Aborting journal on device " + name + "-8."}}, time.Now()) {
		t.Error("another device's error, or no error, concerns it")
	}
	w.deaf(host.Healthy, "")
	// The kernel's own way to simulate an error.
	if err := os.WriteFile("/sys/fs/ext4/"+name+"/trigger_fs_error", []byte("planted"), 0); err != nil {
		t.Skip(err)
	}
	w.deaf(host.Aborted, "")
	w.want(host.Aborted, "planted")
}

func TestADeviceThatIsGoneIsFound(t *testing.T) {
	v := host.NewVigil(t.TempDir(), unix.Mkdev(7, 1<<19))
	if got := v.Inspect(time.Now()); got.Condition != host.DeviceGone {
		t.Errorf("found %+v, want %s", got, host.DeviceGone)
	}
}

func TestEventsTellOfMountsAndOfTheKernelsLog(t *testing.T) {
	events, logErr, err := host.OpenEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	await := func(what string, happened func(host.Event) bool) {
		t.Helper()
		for {
			event, err := events.Wait(ctx)
			if err != nil {
				t.Fatalf("%s is not told: %v", what, err)
			}
			if happened(event) {
				return
			}
		}
	}
	dev := formatted(t, "ext4")
	target := mount(t, dev, "ext4")
	await("a mount", func(e host.Event) bool { return e.Mounts })
	run(t, "mount", "-o", "remount,ro", target)
	await("a remount", func(e host.Event) bool { return e.Mounts })
	if logErr == nil {
		vigil := host.NewVigil(target, deviceNumber(t, dev))
		hosttest.ShutDown(t, target)
		await("a shutdown", func(e host.Event) bool { return vigil.Hear(e.Lines, time.Now()) })
	}
	cancel()
	for {
		if _, err := events.Wait(ctx); err != nil {
			break
		}
	}
}

// The kernel's log is heard some time after the kernel wrote it. By then the device may
// have another mount, or another volume.
func TestWhatWasSaidBeforeTheMountIsOfAnotherOne(t *testing.T) {
	eachFS(t, func(t *testing.T, fs string) {
		log := kernelLog(t)
		end, err := host.OpenLogEnd()
		if err != nil {
			t.Fatal(err)
		}
		defer end.Close()
		dev := formatted(t, fs)
		target := t.TempDir()
		if err := host.Mount(dev.Path, target, fs, host.Restricted); err != nil {
			t.Fatal(err)
		}
		hosttest.ShutDown(t, target)
		unmount(t, target)
		since := end.Seq()
		w := watchFrom(t, dev, fs, log, since)
		w.want(host.Healthy, "")
		hosttest.ShutDown(t, w.target)
		w.want(host.ShutDown, "loop")
		if got := end.Seq(); got <= since {
			t.Errorf("the log ended at %d, and then at %d", since, got)
		}
	})
}
