package vm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/vm"
	"github.com/flocker-mesos/flocker/test/vm/crafted"
)

// The bits of /proc/sys/kernel/tainted that tell of harm: an oops, a lockup.
const harm = 1<<7 | 1<<14

// TestCraftedFileSystems has the agent's way - probe, check, mount - and then
// a task's use meet damaged and hostile file systems in a machine of its own.
// Nothing may make its kernel panic or hang, or reach another device.
func TestCraftedFileSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	kernel, err := vm.FindKernel()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t)
	journal := w.makeJournal()
	w.ext4Superblocks()
	w.ext4Metadata()
	w.ext4Journals(journal)
	w.xfs()
	for i := range 25 {
		w.try("ext4 at random "+number(i), "ext4", want{}, scatter(uint64(i), sealExt4))
		w.try("ext4 without checksums at random "+number(i), "ext4-plain", want{}, scatter(uint64(i), func([]byte) {}))
		if i < 12 {
			w.try("xfs at random "+number(i), "xfs", want{}, scatter(uint64(i), sealXFS))
			w.try("xfs without checksums at random "+number(i), "xfs-plain", want{}, scatter(uint64(i), sealXFS))
		}
	}

	root := newRoot(ctx, t)
	if err := root.Modules(kernel, "xfs"); err != nil {
		t.Fatal(err)
	}
	for name, image := range w.bases {
		root.File("/"+name, 0o600, image)
	}
	text, err := json.Marshal(w.trials)
	if err != nil {
		t.Fatal(err)
	}
	root.File("/trials.json", 0o600, text)
	archive, scratch := filepath.Join(w.dir, "initramfs"), filepath.Join(w.dir, "scratch")
	if err := root.Write(archive); err != nil {
		t.Fatal(err)
	}
	makeDisk(t, scratch, xfsSize)
	m, err := vm.Start(ctx, w.dir, vm.Config{Kernel: kernel, Initramfs: archive, Memory: 768, Disks: []string{scratch, journal}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(ctx); err != nil {
		t.Errorf("the machine: %v", err)
	}
	w.judge(m)
}

func (w *workshop) judge(m *vm.Machine) {
	t := w.t
	lines := strings.Split(strings.TrimSpace(m.Report()), "\n")
	results := map[string]crafted.Result{}
	under := ""
	for _, line := range lines {
		var r crafted.Result
		if line == "end" {
			under = ""
			continue
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("report line %q: %v", line, err)
			continue
		}
		if under = r.Trial; !r.Begun {
			results[r.Trial] = r
			t.Logf("%-50s %-8s %5d ms  %s | %s", r.Trial, r.Outcome, r.MS, r.Said, r.Trouble)
		}
	}
	if lines[len(lines)-1] != "end" {
		t.Errorf("the machine ended in the trial of %q; its console:\n%s", under, tail(m.Console()))
	}
	journal := ""
	for _, trial := range w.trials {
		r, ok := results[trial.Name]
		if !ok {
			continue // the machine ended before
		}
		if journal == "" {
			journal = r.Journal
		}
		expect := w.wants[trial.Name]
		switch {
		case r.Outcome == "" || r.Outcome == crafted.Hung || r.Taint&harm != 0:
			t.Errorf("%s: outcome %q, taint %d: %s", trial.Name, r.Outcome, r.Taint, r.Said)
		case expect.outcome != "" && r.Outcome != expect.outcome:
			t.Errorf("%s: %s (%s), want %s", trial.Name, r.Outcome, r.Said, expect.outcome)
		case !strings.Contains(r.Said, expect.says):
			t.Errorf("%s: the agent says %q, want %q in it", trial.Name, r.Said, expect.says)
		case r.Outcome == crafted.Mounted && trial.FS == "ext4" && !slices.Contains(strings.Split(r.Options, ","), "errors=remount-ro"):
			t.Errorf("%s: mounted with options %s, want errors=remount-ro", trial.Name, r.Options)
		case r.Journal != journal:
			t.Errorf("%s: another device was written", trial.Name)
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-6000):] }

func (w *workshop) ext4Superblocks() {
	mounted, refused, failed := want{outcome: crafted.Mounted}, crafted.Refused, crafted.Failed
	w.try("ext4 as it is made", "ext4", mounted, func([]byte) {})
	w.try("ext4 not unmounted", "ext4", mounted, setExt4(0x3a, 2, 0))
	w.try("ext4 with errors", "ext4", want{}, setExt4(0x3a, 2, 3))
	w.try("ext4 with a wrong checksum", "ext4", want{refused, "checksum"}, func(b []byte) { b[superOffset+0x3fc] ^= 1 })
	w.try("ext4 with casefold", "ext4-casefold", mounted, func([]byte) {})
	w.try("ext4 with quota", "ext4-quota", want{}, func([]byte) {})
	w.try("ext4 with many features", "ext4-inline", mounted, func([]byte) {})
	w.try("ext4 with unknown features", "ext4", want{refused, "(incompatible 0x80000000,"}, orExt4(0x60, 1<<31))
	w.try("ext4 with unknown read-only features", "ext4", want{refused, "for writing 0x40000)"}, orExt4(0x64, 1<<18))
	for _, f := range []struct {
		name  string
		at    int
		size  int
		value uint64
		want  want
	}{
		{"no inodes", 0x0, 4, 0, want{outcome: refused}},
		{"too many inodes", 0x0, 4, 0xffffffff, want{outcome: failed}},
		{"no blocks", 0x4, 4, 0, want{outcome: refused}},
		{"blocks beyond the device", 0x4, 4, 1 << 20, want{refused, "on a device that has only"}},
		{"2^60 blocks", 0x150, 4, 1 << 28, want{outcome: refused}},
		{"first block beyond the end", 0x14, 4, 0xffffffff, want{outcome: failed}},
		{"blocks of 64 KiB", 0x18, 4, 6, want{}},
		{"blocks of 1 GiB", 0x18, 4, 20, want{outcome: refused}},
		{"clusters of 1 GiB", 0x1c, 4, 20, want{outcome: failed}},
		{"groups of 0 blocks", 0x20, 4, 0, want{outcome: failed}},
		{"groups of 1 block", 0x20, 4, 1, want{outcome: failed}},
		{"groups of 2^32 blocks", 0x20, 4, 0xffffffff, want{outcome: failed}},
		{"groups of 0 inodes", 0x28, 4, 0, want{outcome: failed}},
		{"groups of 2^32 inodes", 0x28, 4, 0xffffffff, want{outcome: failed}},
		{"inodes of 0 bytes", 0x58, 2, 0, want{outcome: failed}},
		{"inodes of 3 bytes", 0x58, 2, 3, want{outcome: failed}},
		{"inodes of 32 KiB", 0x58, 2, 32768, want{outcome: failed}},
		{"first inode beyond the end", 0x54, 4, 0xffffffff, want{}},
		{"group descriptors of 0 bytes", 0xfe, 2, 0, want{outcome: failed}},
		{"group descriptors of 1 byte", 0xfe, 2, 1, want{outcome: failed}},
		{"group descriptors of 64 KiB", 0xfe, 2, 0xffff, want{outcome: failed}},
		{"reserved descriptors without end", 0xce, 2, 0xffff, want{outcome: failed}},
		{"first meta group beyond the end", 0x104, 4, 0xffffffff, want{}},
		{"flexible groups of 2^255", 0x174, 1, 255, want{}},
		{"unknown checksum", 0x175, 1, 7, want{outcome: failed}},
		{"unknown hash", 0xfc, 1, 255, want{}},
		{"revision 2^32", 0x4c, 4, 0xffffffff, want{}},
		{"all default mount options", 0x100, 4, 0xffffffff, want{}},
		{"stripes of 2^32", 0x164, 2, 0xffff, want{}},
		{"extra inode size", 0x15c, 4, 0xffffffff, want{}},
		{"orphan list at the root", 0xe8, 4, 2, want{}},
		{"orphan list at the journal", 0xe8, 4, 8, want{}},
		{"orphan list beyond the end", 0xe8, 4, 0xffffffff, want{}},
		{"reserved for root without end", 0x8, 4, 0xffffffff, want{}},
		{"free blocks without end", 0xc, 4, 0xffffffff, want{}},
		{"overhead without end", 0x248, 4, 0xffffffff, want{}},
		{"check due", 0x34, 4, 1<<16 | 1, want{}},
	} {
		w.try("ext4 superblock: "+f.name, "ext4", f.want, setExt4(f.at, f.size, f.value))
	}
	w.try("ext4 of unknown encoding", "ext4-casefold", want{outcome: failed}, setExt4(0x27c, 2, 77))
	w.try("ext4 with quota in the root", "ext4-quota", want{}, setExt4(0x240, 4, 2))
	w.try("ext4 with quota in the journal", "ext4-quota", want{}, setExt4(0x240, 4, 8))
	w.try("ext4 of another node", "ext4-mmp", want{}, func([]byte) {})
	w.try("ext4 whose mmp block is 0", "ext4-mmp", want{}, setExt4(0x168, 8, 0))
	w.try("ext4 whose mmp block is the superblock", "ext4-mmp", want{}, setExt4(0x168, 8, 1))
	w.try("ext4 whose mmp block is beyond the end", "ext4-mmp", want{}, setExt4(0x168, 8, 1<<40))
}

func (w *workshop) ext4Metadata() {
	t := w.t
	panics := setExt4(0x3c, 2, 3) // s_errors: panic
	mounted := want{outcome: crafted.Mounted}
	w.try("ext4 that panics on errors", "ext4", mounted, panics)
	w.try("ext4 that panics on errors by its options", "ext4", mounted, func(b []byte) {
		copy(b[superOffset+0x200:], "errors=panic\x00")
		sealExt4(b)
	})
	for _, c := range []struct {
		name     string
		want     want
		commands []string
	}{
		{"directory without extents", mounted, []string{"sif tree/nested block[0] 0xffffffff"}},
		{"directory of odd size", mounted, []string{"sif tree/nested size 1000"}},
		{"directory loop", mounted, []string{"link tree tree/nested/deep/loop"}},
		{"directory linked to the root", mounted, []string{"link / tree/nested/deep/loop"}},
		{"file with a broken extent tree", mounted, []string{"sif tree/large block[0] 0xffffffff"}},
		{"file with an extent loop", mounted, []string{
			"sif tree/large block[0] 0x0001f30a", "sif tree/large block[1] 0x00050004", "sif tree/large block[3] 0", "sif tree/large block[4] 4000",
		}},
		{"file that is the superblock", mounted, []string{"sif tree/large flags 0", "sif tree/large block[0] 0", "sif tree/large block[1] 1", "sif tree/large block[IND] 1", "sif tree/large block[DIND] 1"}},
		{"file of 2^63 bytes", mounted, []string{"sif tree/small size 0x7fffffffffffffff"}},
		{"symbolic link of 2^32 bytes", mounted, []string{"sif tree/link size 0xffffffff"}},
		{"file without a type", mounted, []string{"sif tree/small mode 0"}},
		{"file that is deleted and linked", mounted, []string{"sif tree/small links_count 0"}},
		{"root that is a file", want{outcome: crafted.Failed}, []string{"sif <2> mode 0100644"}},
		{"root that is gone", want{outcome: crafted.Failed}, []string{"clri <2>"}},
		{"orphan list that is a loop", want{}, []string{"ssv last_orphan 12", "sif <12> dtime 12"}},
		{"orphan list that is a loop of deleted files", want{}, []string{"ssv last_orphan 12", "sif <12> dtime 12", "sif <12> links_count 0"}},
	} {
		w.try("ext4, panics on errors: "+c.name, "ext4", c.want, func(b []byte) {
			panics(b)
			w.debugfs(b, c.commands...)
		})
		w.try("ext4, not unmounted: "+c.name, "ext4", want{}, func(b []byte) {
			panics(b)
			w.debugfs(b, c.commands...)
			setExt4(0x3a, 2, 0)(b)
		})
	}
	base := w.bases["ext4"]
	group := base[4096:] // the first descriptor: block 1
	for name, at := range map[string]int{"block bitmap": 0, "inode bitmap": 4, "inode table": 8} {
		location := int(binary.LittleEndian.Uint32(group[at:])) * 4096
		if location == 0 || location >= ext4Size {
			t.Fatalf("the %s lies at %d", name, location)
		}
		w.try("ext4, panics on errors: empty "+name, "ext4", want{}, func(b []byte) {
			panics(b)
			copy(b[location:], make([]byte, 4096))
		})
		w.try("ext4, panics on errors: "+name+" at the superblock", "ext4", want{}, func(b []byte) {
			panics(b)
			putLittle(b[4096+at:], 4, 0)
		})
		w.try("ext4, without checksums: "+name+" at the superblock", "ext4-plain", want{}, func(b []byte) { putLittle(b[4096+at:], 4, 0) })
		w.try("ext4, without checksums: "+name+" in the journal", "ext4-plain", want{}, func(b []byte) { putLittle(b[4096+at:], 4, 3000) })
		w.try("ext4, without checksums: "+name+" beyond the end", "ext4-plain", want{}, func(b []byte) { putLittle(b[4096+at:], 4, 0xfffffff0) })
	}
	w.try("ext4 without group descriptors", "ext4", want{outcome: crafted.Failed}, func(b []byte) { copy(b[4096:], make([]byte, 4096)) })
}

// makeJournal makes a disk with another file system's journal.
func (w *workshop) makeJournal() string {
	path := filepath.Join(w.dir, "journal")
	makeDisk(w.t, path, ext4Size)
	run(w.t, "mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", path)
	image, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	// One user, as the kernel insists on.
	binary.BigEndian.PutUint32(image[4096+0x40:], 1)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.bases["ext4-journal-device"] = image
	return path
}

func (w *workshop) ext4Journals(string) {
	other := w.bases["ext4-journal-device"]
	external := func(b []byte) {
		copy(b[superOffset+0xd0:], other[superOffset+0x68:][:16]) // the journal's UUID
		putLittle(b[superOffset+0xe0:], 4, 0)                     // no inode has it
		putLittle(b[superOffset+0xe4:], 4, 259<<8|1)              // /dev/nvme0n2
		sealExt4(b)
	}
	elsewhere := want{crafted.Refused, "journal on another device"}
	w.try("ext4 with a journal elsewhere", "ext4", elsewhere, external)
	w.try("ext4 with a journal elsewhere to replay", "ext4", elsewhere, all(external, orExt4(0x60, 0x4)))
	w.try("ext4 with a journal elsewhere, not unmounted", "ext4", elsewhere, all(external, setExt4(0x3a, 2, 0)))
	w.try("ext4 with a journal elsewhere by its options", "ext4", want{}, func(b []byte) {
		copy(b[superOffset+0x200:], "journal_path=/dev/nvme0n2\x00")
		sealExt4(b)
	})
	w.try("journal of an ext4 elsewhere", "ext4-journal-device", want{crafted.Refused, "only the journal"}, func([]byte) {})

	base := w.bases["ext4"]
	journal := bytes.Index(base, []byte("\xc0\x3b\x39\x98\x00\x00\x00\x04"))
	if journal < 0 {
		w.t.Fatal("found no journal")
	}
	replay := orExt4(0x60, 0x4)
	for _, c := range []struct {
		name  string
		at    int
		value uint32
	}{
		{"a block size of 0", 0xc, 0}, {"2^32 blocks", 0x10, 0xffffffff}, {"a first block beyond the end", 0x14, 0xffffffff},
		{"a start beyond the end", 0x1c, 0xffffffff}, {"a start at 1", 0x1c, 1}, {"unknown features", 0x28, 0xffffffff},
		{"another magic", 0x0, 0}, {"2^32 fast commit blocks", 0x54, 0xffffffff},
	} {
		damaged := func(b []byte) { binary.BigEndian.PutUint32(b[journal+c.at:], c.value) }
		w.try("ext4 journal with "+c.name, "ext4", want{}, damaged)
		w.try("ext4 journal to replay with "+c.name, "ext4", want{}, all(damaged, replay))
	}
	w.try("ext4 journal that is the root", "ext4", want{}, setExt4(0xe0, 4, 2))
	w.try("ext4 journal that is a file", "ext4", want{}, setExt4(0xe0, 4, 12))
	w.try("ext4 journal beyond the end", "ext4", want{}, setExt4(0xe0, 4, 0xffffffff))
	w.tryDebugfs("ext4 journal that is gone", "ext4", want{}, "clri <8>")
	w.tryDebugfs("ext4 journal in the inode table", "ext4", want{}, "sif <8> flags 0", "sif <8> block[0] 40", "sif <8> block[1] 40")
}

func (w *workshop) xfs() {
	mounted, refused, failed := want{outcome: crafted.Mounted}, crafted.Refused, crafted.Failed
	w.try("xfs as it is made", "xfs", mounted, func([]byte) {})
	w.try("xfs without checksums", "xfs-plain", want{}, func([]byte) {})
	w.try("xfs with a wrong checksum", "xfs", want{refused, "checksum"}, func(b []byte) { b[225] ^= 1 })
	w.try("xfs with its log elsewhere", "xfs", want{refused, "log on another device"}, setXFS(48, 8, 0))
	w.try("xfs with realtime blocks", "xfs", want{refused, "realtime"}, setXFS(16, 8, 1000))
	w.try("xfs that is being made", "xfs", want{outcome: refused}, setXFS(126, 1, 1))
	w.try("xfs with unknown features", "xfs", want{refused, "(incompatible 0x80000000,"}, setXFS(216, 4, 1<<31|3))
	w.try("xfs with unknown read-only features", "xfs", want{refused, "for writing 0x40000000)"}, setXFS(212, 4, 1<<30))
	for _, f := range []struct {
		name  string
		at    int
		size  int
		value uint64
		want  want
	}{
		{"blocks of 0 bytes", 4, 4, 0, want{outcome: refused}},
		{"blocks of 1 GiB", 4, 4, 1 << 30, want{outcome: refused}},
		{"2^50 blocks", 8, 8, 1 << 50, want{outcome: refused}},
		{"root beyond the end", 56, 8, 1 << 60, want{outcome: failed}},
		{"root in the log", 56, 8, 1 << 14, want{}},
		{"groups of 0 blocks", 84, 4, 0, want{outcome: failed}},
		{"groups of 2^32 blocks", 84, 4, 0xffffffff, want{outcome: failed}},
		{"no groups", 88, 4, 0, want{outcome: failed}},
		{"2^32 groups", 88, 4, 0xffffffff, want{outcome: failed}},
		{"log of 0 blocks", 96, 4, 0, want{outcome: failed}},
		{"log of 2^32 blocks", 96, 4, 0xffffffff, want{outcome: failed}},
		{"log beyond the end", 48, 8, 1 << 40, want{outcome: failed}},
		{"sectors of 1 GiB", 102, 2, 0xffff, want{outcome: refused}},
		{"inodes of 0 bytes", 104, 2, 0, want{outcome: failed}},
		{"inodes of 64 KiB", 104, 2, 0xffff, want{outcome: failed}},
		{"directory blocks of 2^255", 192, 1, 255, want{outcome: failed}},
		{"inode shift of 255", 123, 1, 255, want{outcome: failed}},
		{"block shift of 255", 120, 1, 255, want{outcome: failed}},
		{"quota at the root", 160, 8, 128, want{}},
	} {
		w.try("xfs superblock: "+f.name, "xfs", f.want, setXFS(f.at, f.size, f.value))
	}
	for name, sector := range map[string]int{"free space": 1, "inodes": 2, "free list": 3} {
		w.try("xfs without its header of "+name, "xfs", want{}, func(b []byte) { copy(b[sector*512:], make([]byte, 512)) })
		w.try("xfs without checksums, with a wild header of "+name, "xfs-plain", want{}, func(b []byte) {
			copy(b[sector*512+12:], bytes.Repeat([]byte{0x7f}, 100))
		})
	}
	log := int(binary.BigEndian.Uint64(w.bases["xfs"][48:]))
	block := int(binary.BigEndian.Uint32(w.bases["xfs"][4:]))
	groupBlocks := int(binary.BigEndian.Uint32(w.bases["xfs"][84:]))
	groupShift := int(w.bases["xfs"][124])
	start := ((log>>groupShift)*groupBlocks + log&(1<<groupShift-1)) * block
	if binary.BigEndian.Uint32(w.bases["xfs"][start:]) != 0xfeedbabe {
		w.t.Fatalf("found no log at %d", start)
	}
	for i := range 10 {
		w.try("xfs with a wild log "+number(i), "xfs", want{}, func(b []byte) { scatter(uint64(i), func([]byte) {})(b[start : start+64<<10]) })
	}
}
