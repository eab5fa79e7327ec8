package host_test

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/host"
)

func probe(t *testing.T, dev host.Device) host.Signature {
	t.Helper()
	sig, err := host.Probe(dev)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// withoutImage is a device of which nobody knows what is behind it.
func withoutImage(dev host.Device) host.Device { return host.Device{Path: dev.Path} }

func TestZerosAreBlank(t *testing.T) {
	for _, size := range []int64{16 << 10, mib, 3*mib + 512, 64 * mib, 65 * mib, 200 * mib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dev := newDevice(t, size)
			for _, dev := range []host.Device{dev, withoutImage(dev)} {
				want := host.Signature{Kind: host.Blank, Clean: true}
				if sig := probe(t, dev); sig != want {
					t.Errorf("signature of %+v: got %+v, want %+v", dev, sig, want)
				}
			}
		})
	}
}

func TestWrittenZerosAreBlank(t *testing.T) {
	dev := newDevice(t, 64*mib)
	writeAt(t, dev.Path, string(make([]byte, 4*mib)), 0)
	if sig := probe(t, dev); sig.Kind != host.Blank {
		t.Errorf("signature: got %+v, want a blank one", sig)
	}
}

// TestOneByteIsNotBlank has a byte at places where something known, but not to
// any library, might keep its signature.
func TestOneByteIsNotBlank(t *testing.T) {
	const size = 100 * mib
	for _, at := range []int64{0, 511, 4096, 65535, 262144 + 1372, 512 << 10, mib, 64*mib + 64,
		size - 1, size - 512, size - 4096, size - 64<<10, size - 768<<10, size - mib, size - 3087*512} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			dev := newDevice(t, size)
			writeAt(t, dev.Path, "\x01", at)
			for _, dev := range []host.Device{dev, withoutImage(dev)} {
				sig := probe(t, dev)
				want := fmt.Sprintf("unknown data at byte %d", at)
				if sig.Kind != host.Other || sig.Type != "" || sig.Detail != want || sig.String() != want {
					t.Errorf("signature of %+v: got %+v, want %q", dev, sig, want)
				}
			}
		})
	}
}

func TestWrongImageIsNotBelieved(t *testing.T) {
	dev := newDevice(t, 64*mib)
	writeAt(t, dev.Path, "precious", 4096)
	empty := newImage(t, 64*mib)
	for _, image := range []string{empty.Name(), "/missing", "/dev/null", "/proc/self/status", t.TempDir()} {
		if sig := probe(t, host.Device{Path: dev.Path, Image: image}); sig.Kind != host.Other {
			t.Errorf("signature with image %s: got %+v", image, sig)
		}
	}
}

func TestFileSystemsAreKnown(t *testing.T) {
	for _, test := range []struct {
		kind    string
		command []string
	}{
		{"ext2", []string{"mkfs.ext2", "-q", "-F"}},
		{"ext3", []string{"mkfs.ext3", "-q", "-F"}},
		{"ext4", []string{"mkfs.ext4", "-q", "-F"}},
		{"ext4", []string{"mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "^metadata_csum"}},
		{"ext4", []string{"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "bigalloc"}},
		{"xfs", []string{"mkfs.xfs", "-q"}},
		{"xfs", []string{"mkfs.xfs", "-q", "-m", "crc=0"}},
	} {
		t.Run(strings.Join(test.command, " "), func(t *testing.T) {
			dev := newDevice(t, 320*mib)
			run(t, test.command[0], append(test.command[1:], dev.Path)...)
			sig := probe(t, dev)
			want := strings.Fields(run(t, "blkid", "-p", "-o", "value", "-s", "UUID", dev.Path))[0]
			if sig.Kind != host.Filesystem || sig.Type != test.kind || sig.UUID != want || !sig.Clean {
				t.Errorf("signature: got %+v, want a clean %s %s", sig, test.kind, want)
			}
		})
	}
}

func TestOthersAreNamed(t *testing.T) {
	const size = 64*mib + 4096
	sector := make([]byte, 512)
	copy(sector, "LABELONE")
	binary.LittleEndian.PutUint64(sector[8:], 1)
	binary.LittleEndian.PutUint32(sector[20:], 32)
	copy(sector[24:], "LVM2 001")
	lvm := string(sector)
	const md = "\xfc\x4e\x2b\xa9\x01\x00\x00\x00"
	for _, test := range []struct {
		name string
		at   int64
		data string
	}{
		{"linux_raid_member", 0, md},
		{"linux_raid_member", 4096, md},
		{"linux_raid_member", (size/512 - 16) &^ 7 * 512, md},
		{"linux_raid_member", size&^65535 - 65536, md},
		{"dos", 510, "\x55\xaa"},
		{"gpt", size - 512, "EFI PART"},
		{"bcachefs", 4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"ntfs", 3, "NTFS    "},
		{"VMFS_volume_member", mib, "\x0d\xd0\x01\xc0"},
		{"btrfs", 64*mib + 64, "_BHRfS_M"},
		{"ddf_raid_member", size - 512, "\xde\x11\xde\x11"},
		{"LVM2_member", 512, lvm},
		{"crypto_LUKS", 0, "LUKS\xba\xbe\x00\x01"},
		{"gpt", 512, partitionTable(size / 512)},
		{"gpt", 512, "EFI PART"}, // damaged
	} {
		t.Run(fmt.Sprintf("%s at %d", test.name, test.at), func(t *testing.T) {
			dev := newDevice(t, size)
			writeAt(t, dev.Path, test.data, test.at)
			sig := probe(t, withoutImage(dev))
			if sig.Kind == host.Blank || sig.Type != test.name {
				t.Errorf("signature: got %+v, want %q", sig, test.name)
			}
		})
	}
}

// partitionTable returns the primary GPT of a disk with so many sectors, with
// no partition in it.
func partitionTable(sectors int64) string {
	const entries = 128 * 128
	header := make([]byte, 92)
	le := binary.LittleEndian
	copy(header, "EFI PART\x00\x00\x01\x00")
	le.PutUint32(header[12:], uint32(len(header)))
	le.PutUint64(header[24:], 1)
	le.PutUint64(header[32:], uint64(sectors-1))
	le.PutUint64(header[40:], 34)
	le.PutUint64(header[48:], uint64(sectors-34))
	copy(header[56:], "0123456789abcdef")
	le.PutUint64(header[72:], 2)
	le.PutUint32(header[80:], 128)
	le.PutUint32(header[84:], 128)
	le.PutUint32(header[88:], crc32.ChecksumIEEE(make([]byte, entries)))
	le.PutUint32(header[16:], crc32.ChecksumIEEE(header))
	return string(header)
}

// TestWhatOtherToolsMadeIsNamed takes the beginnings of devices that the real tools
// made: cryptsetup 2.6.1, lvm2 2.03.16 and btrfs-progs 6.2 of Debian 12. So it needs
// none of them.
func TestWhatOtherToolsMadeIsNamed(t *testing.T) {
	for _, test := range []struct {
		file string
		want host.Signature
	}{
		{"luks1", host.Signature{Kind: host.Other, Type: "crypto_LUKS"}},
		{"luks2", host.Signature{Kind: host.Other, Type: "crypto_LUKS"}},
		{"lvm2", host.Signature{Kind: host.Other, Type: "LVM2_member"}},
		{"btrfs", host.Signature{Kind: host.Filesystem, Type: "btrfs", UUID: "aac79ba9-8039-43e1-8420-ae57d3cced57", Clean: true}},
	} {
		t.Run(test.file, func(t *testing.T) {
			dev := newDevice(t, 320*mib)
			writeAt(t, dev.Path, unpack(t, filepath.Join("testdata/signatures", test.file+".gz")), 0)
			got := probe(t, dev)
			if got.String() == "" || got.Kind != test.want.Kind || got.Type != test.want.Type || got.UUID != test.want.UUID && test.want.UUID != "" || test.want.Clean && !got.Clean {
				t.Errorf("signature: got %+v, want %+v", got, test.want)
			}
		})
	}
	t.Run("swap", func(t *testing.T) {
		dev := newDevice(t, 64*mib)
		run(t, "mkswap", "-q", dev.Path)
		if got := probe(t, dev); got.Kind != host.Other || got.Type != "swap" || got.String() == "" {
			t.Errorf("signature: got %+v, want swap", got)
		}
	})
}

// unpack returns what a gzip file has.
func unpack(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDamagedFileSystemsAreNotTouched(t *testing.T) {
	for _, test := range []struct {
		name   string
		fs     string
		damage func(t *testing.T, image *os.File)
		want   string
	}{
		{"checksum of ext4", "ext4", func(t *testing.T, image *os.File) { writeAt(t, image.Name(), "x", 1024+0x78) },
			"damaged ext4: the superblock's checksum is wrong"},
		{"checksum of xfs", "xfs", func(t *testing.T, image *os.File) { writeAt(t, image.Name(), "x", 108) },
			"damaged xfs: the superblock's checksum is wrong"},
		{"ext4 cut short", "ext4", func(t *testing.T, image *os.File) { truncate(t, image, 301*mib) },
			"ext4 of 335544320 bytes on a device that has only 315621376"},
		{"xfs cut short", "xfs", func(t *testing.T, image *os.File) { truncate(t, image, 301*mib) },
			"xfs of 335544320 bytes on a device that has only 315621376"},
	} {
		t.Run(test.name, func(t *testing.T) {
			image := newImage(t, 320*mib)
			loop := attach(t, image)
			format(t, host.Device{Path: loop.Path()}, test.fs)
			if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
				t.Fatal(err)
			}
			test.damage(t, image)
			dev := host.Device{Path: attach(t, image).Path(), Image: image.Name()}
			sig := probe(t, dev)
			if sig.Kind != host.Other || sig.Type != test.fs || sig.Detail != test.want {
				t.Errorf("signature: got %+v, want %q", sig, test.want)
			}
		})
	}
}

func truncate(t *testing.T, image *os.File, size int64) {
	t.Helper()
	if err := image.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func TestHalfOfAMirrorIsNoFileSystem(t *testing.T) {
	const size = 64 * mib
	for _, at := range []int64{(size/512 - 16) &^ 7 * 512, size&^65535 - 65536} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			dev := newDevice(t, size)
			run(t, "mkfs.ext4", "-q", "-F", "-b", "4096", dev.Path, fmt.Sprint((size-256<<10)/4096))
			if sig := probe(t, dev); sig.Kind != host.Filesystem {
				t.Fatalf("signature of a small file system: got %+v", sig)
			}
			writeAt(t, dev.Path, "\xfc\x4e\x2b\xa9", at)
			sig := probe(t, dev)
			if sig.Kind != host.Other || sig.Type != "linux_raid_member" {
				t.Errorf("signature: got %+v, want linux_raid_member", sig)
			}
		})
	}
}

func TestExt4ThatWasNotUnmountedIsNotClean(t *testing.T) {
	dev := formatted(t, "ext4")
	for _, command := range []string{"set_super_value state 0", "set_super_value state 3", "feature needs_recovery"} {
		t.Run(command, func(t *testing.T) {
			run(t, "debugfs", "-w", "-R", command, dev.Path)
			if sig := probe(t, dev); sig.Kind != host.Filesystem || sig.Clean {
				t.Errorf("signature: got %+v, want an unclean one", sig)
			}
			run(t, "debugfs", "-w", "-R", "set_super_value state 1", dev.Path)
			run(t, "debugfs", "-w", "-R", "feature -needs_recovery", dev.Path)
		})
	}
	if sig := probe(t, dev); !sig.Clean {
		t.Errorf("signature: got %+v, want a clean one", sig)
	}
}

func TestProbeOfWhatIsNoDevice(t *testing.T) {
	for _, path := range []string{"/dev/missing", t.TempDir(), newImage(t, mib).Name(), "/dev/null"} {
		if sig, err := host.Probe(host.Device{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("probe %s: got %+v, %v", path, sig, err)
		}
	}
}
