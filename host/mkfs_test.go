package host_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func TestFormattedDeviceCarriesACleanFileSystem(t *testing.T) {
	for _, test := range []struct {
		fs    string
		size  int64
		check []string
	}{
		{"ext4", 64 * mib, []string{"e2fsck", "-fn"}},
		{"ext4", 64*mib + 4096 + 512, []string{"e2fsck", "-fn"}},
		{"ext4", gib, []string{"e2fsck", "-fn"}},
		{"ext4", 100 * gib, []string{"e2fsck", "-fn"}},
		{"xfs", 300 * mib, []string{"xfs_repair", "-n"}},
	} {
		t.Run(test.fs, func(t *testing.T) {
			dev := newDevice(t, test.size)
			format(t, dev, test.fs)
			run(t, test.check[0], test.check[1], dev.Path)
			sig, err := host.Probe(dev)
			if err != nil || sig.Kind != host.Filesystem || sig.Type != test.fs || sig.UUID == "" || !sig.Clean {
				t.Errorf("signature: got %+v, %v, want a clean %s", sig, err, test.fs)
			}
			target := mount(t, dev, test.fs)
			if err := os.WriteFile(filepath.Join(target, "file"), []byte("text"), 0o600); err != nil {
				t.Error(err)
			}
			unmount(t, target)
			run(t, test.check[0], test.check[1], dev.Path)
		})
	}
}

// TestFormatDoesNotRelyOnZeros makes sure that everything that has to be zero
// is written: a device whose ends are blank may have old data in the middle.
func TestFormatDoesNotRelyOnZeros(t *testing.T) {
	const size = 256 * mib
	dev := newDevice(t, size)
	noise := make([]byte, mib)
	for i := range noise {
		noise[i] = byte(i*7 + 1)
	}
	for at := int64(2 * mib); at < size-2*mib; at += mib {
		if at == 64*mib {
			continue // where a mirror of btrfs would be
		}
		writeAt(t, dev.Path, string(noise), at)
	}
	format(t, dev, "ext4")
	run(t, "e2fsck", "-fn", dev.Path)
	target := mount(t, dev, "ext4")
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(target, strings.Repeat("x", i+1)), noise, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unmount(t, target)
	run(t, "e2fsck", "-fn", dev.Path)
}

func TestEachFileSystemHasItsOwnIdentity(t *testing.T) {
	var formatter host.Formatter
	seen := map[string]bool{}
	pattern := regexp.MustCompile(`(?m)^(Filesystem UUID|Directory Hash Seed|Checksum seed): +(\S+)`)
	for range 3 {
		dev := newDevice(t, gib)
		if err := formatter.Format(t.Context(), dev, "ext4", host.Anyone); err != nil {
			t.Fatal(err)
		}
		run(t, "e2fsck", "-fn", dev.Path)
		sig, err := host.Probe(dev)
		if err != nil {
			t.Fatal(err)
		}
		// The backups must agree: e2fsck has to be able to repair from them.
		for _, block := range []string{"32768", "98304", "163840", "229376"} {
			backup := run(t, "dumpe2fs", "-h", "-o", "superblock="+block, "-o", "blocksize=4096", dev.Path)
			if !strings.Contains(backup, sig.UUID) {
				t.Errorf("backup superblock at block %s: no UUID %s in\n%s", block, sig.UUID, backup)
			}
		}
		for _, m := range pattern.FindAllStringSubmatch(run(t, "dumpe2fs", "-h", dev.Path), -1) {
			if m[1] != "Checksum seed" && seen[m[2]] {
				t.Errorf("%s %s: also another file system's", m[1], m[2])
			}
			seen[m[2]] = true
		}
	}
	if len(seen) < 6 {
		t.Errorf("identities: got %v", seen)
	}
}

func TestFormatsOfManySizesAtOnce(t *testing.T) {
	var formatter host.Formatter
	var wg sync.WaitGroup
	for i := range 8 {
		dev := newDevice(t, int64(64+i%3)*mib)
		wg.Go(func() {
			if err := formatter.Format(t.Context(), dev, "ext4", host.Anyone); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(func() { run(t, "e2fsck", "-fn", dev.Path) })
	}
	wg.Wait()
}

func TestFormatRefusesWhatIsNotBlank(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			dev := newDevice(t, 300*mib)
			writeAt(t, dev.Path, "precious", mib/2)
			err := host.Format(t.Context(), dev, fs)
			refusal, ok := errors.AsType[*host.NotBlankError](err)
			if !ok || refusal.Signature.Kind != host.Other {
				t.Errorf("format: got %v, want a NotBlankError", err)
			}
			if got := readAt(t, dev.Path, 8, mib/2); got != "precious" {
				t.Errorf("data after the refusal: got %q", got)
			}
		})
		t.Run(fs+" twice", func(t *testing.T) {
			dev := newDevice(t, 300*mib)
			format(t, dev, fs)
			if _, ok := errors.AsType[*host.NotBlankError](host.Format(t.Context(), dev, fs)); !ok {
				t.Error("format again: got no NotBlankError")
			}
		})
	}
}

func TestFormatRefusesADeviceInUse(t *testing.T) {
	dev := newDevice(t, 64*mib)
	fd, err := unix.Open(dev.Path, unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := host.Format(t.Context(), dev, "ext4"); !errors.Is(err, host.ErrBusy) {
		t.Errorf("format a device that is open exclusively: got %v, want %v", err, host.ErrBusy)
	}
}

func TestFormatSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name string
		size int64
		fs   string
		want string
	}{
		{"too small for XFS", 299 * mib, "xfs", "XFS needs at least 314572800 (300 MiB)"},
		{"unknown file system", 64 * mib, "ntfs", "unknown file system"},
		{"too small for anything", 8 << 10, "ext4", "only 8192 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dev := newDevice(t, test.size)
			err := host.Format(t.Context(), dev, test.fs)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dev.Path) {
				t.Errorf("format: got %v, want it to contain %q", err, test.want)
			}
		})
	}
}

// TestInterruptedFormatCanBeRepeated stops formats at random moments. After
// each, the device is either still blank or has the whole file system.
func TestInterruptedFormatCanBeRepeated(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			interrupted := 0
			for range 40 {
				dev := newDevice(t, gib)
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(10*time.Millisecond))
				formatErr := host.Format(ctx, dev, fs)
				cancel()
				sig := probeWhenFree(t, dev)
				switch {
				case sig.Kind == host.Filesystem && sig.Type == fs:
				case sig.Kind == host.Blank && formatErr != nil:
					if !errors.Is(formatErr, context.DeadlineExceeded) {
						t.Errorf("interrupted format: got %v", formatErr)
					}
					if sig.Interrupted {
						interrupted++
					}
					format(t, dev, fs)
				default:
					t.Errorf("after a format that returned %v: got %+v", formatErr, sig)
				}
			}
			t.Logf("%d of 40 were interrupted half-way", interrupted)
		})
	}
}

// probeWhenFree waits for a killed mkfs to be gone.
func probeWhenFree(t *testing.T, dev host.Device) host.Signature {
	t.Helper()
	for {
		sig, err := host.Probe(dev)
		if err == nil {
			return sig
		}
		if !errors.Is(err, host.ErrBusy) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestInterruptedFormatMayChangeTheFileSystem(t *testing.T) {
	dev := newDevice(t, 300*mib)
	writeAt(t, dev.Path, "flocker: a file system is being made here, and is not complete\n", 0)
	writeAt(t, dev.Path, "what mkfs wrote", 128<<10)
	sig, err := host.Probe(dev)
	if err != nil || sig.Kind != host.Blank || !sig.Interrupted {
		t.Fatalf("signature: got %+v, %v, want an interrupted blank one", sig, err)
	}
	format(t, dev, "xfs")
	if sig, err := host.Probe(dev); err != nil || sig.Type != "xfs" {
		t.Errorf("signature: got %+v, %v, want xfs", sig, err)
	}
}

func TestCheckRepairsAnUncleanExt4(t *testing.T) {
	image := newImage(t, 64*mib)
	dev := host.Device{Path: attach(t, image).Path(), Image: image.Name()}
	format(t, dev, "ext4")
	target := mount(t, dev, "ext4")
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	unix.Sync()
	// A copy of a mounted file system is what a power failure leaves.
	crashed := newImage(t, 64*mib)
	content, err := os.ReadFile(image.Name())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crashed.Write(content); err != nil {
		t.Fatal(err)
	}
	copied := host.Device{Path: attach(t, crashed).Path(), Image: crashed.Name()}
	sig, err := host.Probe(copied)
	if err != nil || sig.Kind != host.Filesystem || sig.Clean {
		t.Fatalf("signature after a crash: got %+v, %v, want an unclean ext4", sig, err)
	}
	for range 2 { // does nothing to a clean one
		if err := host.Check(t.Context(), copied); err != nil {
			t.Fatal(err)
		}
		sig, err = host.Probe(copied)
		if err != nil || sig.Kind != host.Filesystem || !sig.Clean {
			t.Errorf("signature after the check: got %+v, %v, want a clean ext4", sig, err)
		}
	}
	restored := mount(t, copied, "ext4")
	if text, err := os.ReadFile(filepath.Join(restored, "file")); err != nil || string(text) != "text" {
		t.Errorf("file after the check: got %q, %v", text, err)
	}
	if err := host.Check(t.Context(), copied); !errors.Is(err, host.ErrBusy) {
		t.Errorf("check a mounted file system: got %v, want %v", err, host.ErrBusy)
	}
}

func TestCheckSaysWhatItCannotRepair(t *testing.T) {
	dev := newDevice(t, 64*mib)
	format(t, dev, "ext4")
	run(t, "debugfs", "-w", "-R", "set_super_value state 2", dev.Path)
	run(t, "debugfs", "-w", "-R", "clri <2>", dev.Path)
	sig, err := host.Probe(dev)
	if err != nil || sig.Clean {
		t.Fatalf("signature: got %+v, %v, want one with errors", sig, err)
	}
	err = host.Check(t.Context(), dev)
	if err == nil || !strings.Contains(err.Error(), "e2fsck") || !strings.Contains(err.Error(), "UNEXPECTED INCONSISTENCY") {
		t.Errorf("check: got %v, want what e2fsck says", err)
	}
}
