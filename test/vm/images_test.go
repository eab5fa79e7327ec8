package vm_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/flocker-mesos/flocker/test/vm/crafted"
)

// workshop makes variants of base images.
type workshop struct {
	t      *testing.T
	dir    string
	bases  map[string][]byte
	trials []crafted.Trial
	wants  map[string]want
}

// want is what must come of a trial.
type want struct {
	outcome crafted.Outcome // "" for anything but harm
	says    string          // is in what the agent says
}

const (
	ext4Size = 16 << 20
	xfsSize  = 32 << 20
	// superOffset is where the superblock of ext4 begins.
	superOffset = 1024
)

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir(), bases: map[string][]byte{}, wants: map[string]want{}}
	tree := filepath.Join(w.dir, "content")
	if err := os.MkdirAll(filepath.Join(tree, "tree", "nested", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"tree/small": 10, "tree/large": 300 << 10, "tree/nested/file": 5000} {
		if err := os.WriteFile(filepath.Join(tree, name), bytes.Repeat([]byte("data\n"), size/5), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("small", filepath.Join(tree, "tree", "link")); err != nil {
		t.Fatal(err)
	}
	w.makeExt4("ext4", tree, "metadata_csum,metadata_csum_seed,64bit")
	w.makeExt4("ext4-plain", tree, "^metadata_csum,64bit")
	w.makeExt4("ext4-mmp", tree, "metadata_csum,64bit,mmp")
	w.makeExt4("ext4-casefold", tree, "metadata_csum,64bit,casefold")
	w.makeExt4("ext4-quota", tree, "metadata_csum,64bit,quota,project")
	w.makeExt4("ext4-inline", tree, "metadata_csum,64bit,inline_data,ea_inode,large_dir,encrypt,verity")
	w.makeXFS("xfs", "1")
	w.makeXFS("xfs-plain", "0")
	return w
}

func (w *workshop) makeExt4(name, content, features string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	makeDisk(w.t, path, ext4Size)
	run(w.t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "256", "-O", features, "-d", content, path)
	w.keep(name)
}

func (w *workshop) makeXFS(name, crc string) {
	w.t.Helper()
	path, proto := filepath.Join(w.dir, name), filepath.Join(w.dir, "proto")
	makeDisk(w.t, path, xfsSize)
	small := filepath.Join(w.dir, "content", "tree", "large")
	text := "/\n0 0\nd--755 0 0\ntree d--755 0 0\nlarge ---644 0 0 " + small + "\nlink l--777 0 0 large\n$\n$\n"
	if err := os.WriteFile(proto, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), "mkfs.xfs", "-q", "-f", "-m", "crc="+crc, "-p", proto, path)
	// mkfs.xfs makes file systems below 300 MiB for its own tests alone.
	cmd.Env = append(os.Environ(), "TEST_DIR="+w.dir, "TEST_DEV="+path, "QA_CHECK_FS=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("mkfs.xfs: %v\n%s", err, out)
	}
	w.keep(name)
}

func (w *workshop) keep(name string) {
	w.t.Helper()
	image, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.bases[name] = image
}

// try adds a trial of a base as change leaves it.
func (w *workshop) try(name, base string, want want, change func(image []byte)) {
	w.t.Helper()
	image := bytes.Clone(w.bases[base])
	change(image)
	fs := "ext4"
	if base[:3] == "xfs" {
		fs = "xfs"
	}
	w.trials = append(w.trials, crafted.Trial{Name: name, Base: base, FS: fs, Patches: difference(w.bases[base], image)})
	if _, ok := w.wants[name]; ok {
		w.t.Fatalf("two trials are called %q", name)
	}
	w.wants[name] = want
}

// tryDebugfs adds a trial of an ext4 as commands of debugfs(8) leave it, with
// all checksums right.
func (w *workshop) tryDebugfs(name, base string, want want, commands ...string) {
	w.t.Helper()
	w.try(name, base, want, func(image []byte) { w.debugfs(image, commands...) })
}

func (w *workshop) debugfs(image []byte, commands ...string) {
	w.t.Helper()
	path := filepath.Join(w.dir, "variant")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, command := range commands {
		run(w.t, "debugfs", "-w", "-R", command, path)
	}
	changed, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if bytes.Equal(changed, image) {
		w.t.Fatalf("debugfs changes nothing by %q", commands)
	}
	copy(image, changed)
}

// difference returns where an image differs from its base.
func difference(base, image []byte) []crafted.Patch {
	const block = 512
	var all []crafted.Patch
	for at := 0; at < len(base); at += block {
		if part := image[at : at+block]; !bytes.Equal(part, base[at:at+block]) {
			all = append(all, crafted.Patch{At: int64(at), Data: part})
		}
	}
	return all
}

// setExt4 sets a field of the superblock, and makes its checksum right.
func setExt4(at, size int, value uint64) func([]byte) {
	return func(image []byte) {
		putLittle(image[superOffset+at:], size, value)
		sealExt4(image)
	}
}

func putLittle(b []byte, size int, value uint64) {
	var all [8]byte
	binary.LittleEndian.PutUint64(all[:], value)
	copy(b[:size], all[:])
}

func orExt4(at int, bits uint32) func([]byte) {
	return func(image []byte) {
		b := image[superOffset+at:]
		binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)|bits)
		sealExt4(image)
	}
}

func sealExt4(image []byte) {
	sb := image[superOffset:][:1024]
	binary.LittleEndian.PutUint32(sb[0x3fc:], ^crc32.Checksum(sb[:0x3fc], crc32.MakeTable(crc32.Castagnoli)))
}

func all(changes ...func([]byte)) func([]byte) {
	return func(image []byte) {
		for _, change := range changes {
			change(image)
		}
	}
}

func setXFS(at, size int, value uint64) func([]byte) {
	return func(image []byte) {
		var all [8]byte
		binary.BigEndian.PutUint64(all[:], value)
		copy(image[at:][:size], all[8-size:])
		sealXFS(image)
	}
}

// sealXFS makes the checksum of a superblock of version 5 right.
func sealXFS(image []byte) {
	sector := image[:512]
	if binary.BigEndian.Uint16(sector[100:])&0xf != 5 {
		return
	}
	copy(sector[224:], []byte{0, 0, 0, 0})
	binary.LittleEndian.PutUint32(sector[224:], crc32.Checksum(sector, crc32.MakeTable(crc32.Castagnoli)))
}

// scatter changes bytes of a file system's metadata at random, the same ones
// for the same seed. Superblocks are sealed, so that most get past the probe.
func scatter(seed uint64, seal func([]byte)) func([]byte) {
	return func(image []byte) {
		r := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a plan, no secret
		var used []int
		for at := 0; at < len(image); at += 512 {
			if firstByte(image[at:at+512]) >= 0 && !bytes.HasPrefix(image[at:], []byte("data\n")) {
				used = append(used, at)
			}
		}
		for range 1 + r.IntN(12) {
			at := used[r.IntN(len(used))]
			if r.IntN(3) == 0 {
				at = r.IntN(2) * 1024 // a superblock
			}
			b := image[at+r.IntN(512-8):]
			switch r.IntN(4) {
			case 0:
				b[0] ^= 1 << r.IntN(8)
			case 1:
				copy(b, []byte{0xff, 0xff, 0xff, 0xff})
			case 2:
				copy(b, make([]byte, 4))
			default:
				putLittle(b, 4, uint64(r.Uint32()))
			}
		}
		seal(image)
	}
}

func firstByte(b []byte) int {
	for i := range b {
		if b[i] != 0 {
			return i
		}
	}
	return -1
}

func number(i int) string { return strconv.Itoa(i) }
