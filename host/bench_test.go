package host_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/host"
)

// BenchmarkUp compares what a volume of 1 GiB costs on its way up and down with
// the bare system calls and an mkfs.ext4 that writes to the device. Compare the
// ratios of one run; the machine decides the rest.
func BenchmarkUp(b *testing.B) {
	var formatter host.Formatter
	b.Run("host", func(b *testing.B) {
		benchmarkUp(b, func(dev host.Device) error { return formatter.Format(context.Background(), dev, "ext4", host.Anyone) })
	})
	b.Run("host without memory", func(b *testing.B) {
		benchmarkUp(b, func(dev host.Device) error { return host.Format(context.Background(), dev, "ext4") })
	})
	b.Run("mkfs on the device", func(b *testing.B) {
		benchmarkUp(b, func(dev host.Device) error {
			return exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", dev.Path).Run()
		})
	})
}

func benchmarkUp(b *testing.B, format func(host.Device) error) {
	dir := b.TempDir()
	path, target := filepath.Join(dir, "image"), filepath.Join(dir, "target")
	if err := os.Mkdir(target, 0o700); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		image, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		if err := image.Truncate(gib); err != nil {
			b.Fatal(err)
		}
		loop, err := host.AttachLoop(b.Context(), image, "")
		if err != nil {
			b.Fatal(err)
		}
		image.Close()
		if err := format(host.Device{Path: loop.Path(), Image: path}); err != nil {
			b.Fatal(err)
		}
		if err := host.Mount(loop.Path(), target, "ext4", 0); err != nil {
			b.Fatal(err)
		}
		if err := host.Unmount(target); err != nil {
			b.Fatal(err)
		}
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLook is what looking at one volume costs, however many there are.
func BenchmarkLook(b *testing.B) {
	path := filepath.Join(b.TempDir(), "image")
	image, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer image.Close()
	if err := image.Truncate(gib); err != nil {
		b.Fatal(err)
	}
	loop, err := host.AttachLoop(b.Context(), image, "")
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
			b.Error(err)
		}
	}()
	dev := host.Device{Path: loop.Path(), Image: path}
	probe := func(dev host.Device) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if _, err := host.Probe(dev); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("probe blank", probe(dev))
	b.Run("probe blank without the image", probe(host.Device{Path: dev.Path}))
	if err := host.Format(b.Context(), dev, "ext4"); err != nil {
		b.Fatal(err)
	}
	b.Run("probe ext4", probe(dev))
	b.Run("stat loop", func(b *testing.B) {
		for b.Loop() {
			if _, err := host.StatLoop(loop.Number); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mounted", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := host.Mounted("/proc"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scan loops", func(b *testing.B) {
		for b.Loop() {
			if _, err := host.ScanLoops(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkInspect is what watching one mounted volume costs at each look.
func BenchmarkInspect(b *testing.B) {
	for _, fs := range []string{"ext4", "xfs"} {
		b.Run(fs, func(b *testing.B) {
			dev := newDevice(b, host.MinXFSSize)
			format(b, dev, fs)
			target := mount(b, dev, fs)
			vigil := host.NewVigil(target, deviceNumber(b, dev))
			for name, look := range map[string]func(time.Time) host.Diagnosis{"inspect": vigil.Inspect, "glance": vigil.Glance} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						if got := look(time.Now()); got.Condition != host.Healthy {
							b.Fatal(got)
						}
					}
				})
			}
		})
	}
}
