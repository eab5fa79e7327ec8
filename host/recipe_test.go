package host_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/host"
)

// hostile are settings of a machine that must not reach a volume.
var hostile = map[string]string{
	"mke2fs.conf": `[defaults]
	base_features = sparse_super,large_file,filetype,dir_index,ext_attr,bigalloc,inline_data,quota,verity,casefold
	default_mntopts = acl,nobarrier,discard
	errors = panic
	blocksize = 1024
	inode_size = 1024
	inode_ratio = 1048576
	reserved_ratio = 20
	enable_periodic_fsck = 1
	hash_alg = tea
	flex_bg_size = 64
	force_undo = 1
	undo_dir = UNDO
[fs_types]
	ext4 = {
		features = ^has_journal,extent,orphan_file,project,encrypt
		lazy_itable_init = 0
		cluster_size = 65536
	}
	small = {
		blocksize = 2048
	}
	default = {
		blocksize = 1024
		inode_size = 512
	}
`,
	"e2fsck.conf": "[options]\n\tlog_dir = UNDO\n\tlog_filename = e2fsck.log\n\tdefer_check_on_battery = true\n",
}

var hostileEnvironment = []string{
	"MKE2FS_CONFIG=/etc/mke2fs.conf", "MKE2FS_FIRST_META_BG=1", "MKE2FS_DEVICE_SECTSIZE=4096", "MKE2FS_DEVICE_PHYS_SECTSIZE=4096",
	"MKE2FS_SKIP_CHECK_MSG=1", "MKE2FS_SYNC=1", "MKE2FS_64BIT=0", "E2FSPROGS_FAKE_TIME=1000", "E2FSPROGS_UNDO_DIR=UNDO",
	"E2FSCK_CONFIG=/etc/e2fsck.conf", "UNIX_IO_FORCE_BOUNCE=1", "LC_ALL=de_DE.UTF-8", "PATH=UNDO",
}

// TestOnHostileMachine is the part of TestMachineDoesNotDecide that runs on the
// hostile machine.
func TestOnHostileMachine(t *testing.T) {
	device, fs := os.Getenv("HOSTILE_DEVICE"), os.Getenv("HOSTILE_FS")
	if device == "" {
		t.Skip("runs as a part of another test")
	}
	if fs != "" {
		format(t, host.Device{Path: device}, fs)
	}
	if err := host.Check(t.Context(), host.Device{Path: device}); err != nil {
		t.Error(err)
	}
}

// onHostileMachine formats, or checks, a device in a mount namespace whose /etc
// and environment are hostile. It returns what lies in the directory UNDO then.
func onHostileMachine(t *testing.T, device, fs string) []os.DirEntry {
	t.Helper()
	etc, undo := t.TempDir(), t.TempDir()
	run(t, "cp", "-a", "/etc/.", etc)
	for name, text := range hostile {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(strings.ReplaceAll(text, "UNDO", undo)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "mount --bind " + etc + " /etc && exec " + os.Args[0] + " -test.run='^TestOnHostileMachine$' -test.v"
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "HOSTILE_DEVICE="+device, "HOSTILE_FS="+fs)
	for _, variable := range hostileEnvironment {
		// The shell needs its PATH: the others reach the agent as they are.
		if !strings.HasPrefix(variable, "PATH=") {
			cmd.Env = append(cmd.Env, strings.ReplaceAll(variable, "UNDO", undo))
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOnHostileMachine") {
		t.Fatalf("on the hostile machine: %v: %s", err, out)
	}
	left, err := os.ReadDir(undo)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// superblocks returns all fields of a file system's superblock but those that are
// its identity.
func superblocks(t *testing.T, device, fs string) string {
	t.Helper()
	show, identity := []string{"dumpe2fs", "-h"}, `(?m)^(Filesystem UUID|Filesystem created|Last write time|Last checked|Directory Hash Seed|Checksum|Checksum seed|Lifetime writes):.*$`
	if fs == "xfs" {
		show, identity = []string{"xfs_db", "-r", "-c", "sb 0", "-c", "print"}, `(?m)^(uuid|meta_uuid|crc) = .*$`
	}
	return regexp.MustCompile(identity).ReplaceAllString(run(t, show[0], append(show[1:], device)...), "")
}

func TestMachineDoesNotDecide(t *testing.T) {
	for _, test := range []struct {
		name, fs string
		size     int64
		want     []string // lines of the superblock
	}{
		{"ext4 of the least size", "ext4", 64 * mib, nil},
		{"ext4", "ext4", gib, []string{
			"Filesystem features:      has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg metadata_csum_seed sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
			"Errors behavior:          Remount read-only", "Reserved block count:     0", "Block size:               4096",
			"Inode count:              65536", "Default mount options:    user_xattr acl", "Maximum mount count:      -1",
			"Total journal size:       32M", "Flex block group size:    16", "Default directory hash:   half_md4", "Inode size:	          256",
		}},
		{"ext4 in place", "ext4", 300 * gib, []string{"Reserved block count:     0", "Total journal size:       1024M"}},
		{"xfs", "xfs", gib, []string{"blocksize = 4096", "sectsize = 4096", "agcount = 4", "logblocks = 16384",
			"features_ro_compat = 0x5", "features_incompat = 0x3", "inodesize = 512"}},
		{"xfs of terabytes", "xfs", 5 << 40, []string{"agcount = 6", "imax_pct = 5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			here, there := newDevice(t, test.size), newDevice(t, test.size)
			format(t, here, test.fs)
			if left := onHostileMachine(t, there.Path, test.fs); len(left) > 0 {
				t.Errorf("the tools were told by the machine to write %v", left)
			}
			want, got := superblocks(t, here.Path, test.fs), superblocks(t, there.Path, test.fs)
			if got != want {
				t.Errorf("made on a hostile machine:\n%s\nmade on another one:\n%s", got, want)
			}
			lines := strings.Split(got, "\n")
			for _, line := range test.want {
				if !contains(lines, line) {
					t.Errorf("no line %q in\n%s", line, got)
				}
			}
		})
	}
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if strings.TrimSpace(l) == line {
			return true
		}
	}
	return false
}

func TestMachineDoesNotDecideHowAFileSystemIsChecked(t *testing.T) {
	dev := newDevice(t, 64*mib)
	format(t, dev, "ext4")
	run(t, "debugfs", "-w", "-R", "ssv state 0", dev.Path) // as if it had not been unmounted
	if sig := probe(t, dev); sig.Clean {
		t.Fatal("the file system counts as clean before it was checked")
	}
	if left := onHostileMachine(t, dev.Path, ""); len(left) > 0 {
		t.Errorf("e2fsck was told by the machine to write %v", left)
	}
	if sig := probe(t, dev); !sig.Clean {
		t.Errorf("signature after the check: got %+v, want a clean one", sig)
	}
}

// TestNoRoomIsKeptForRoot fills a volume as a user.
func TestNoRoomIsKeptForRoot(t *testing.T) {
	dev := newDevice(t, gib)
	format(t, dev, "ext4")
	target := mount(t, dev, "ext4")
	if err := os.Chmod(target, 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(target, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Chmod(0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "fallocate", "-l", "950M", "/proc/self/fd/0")
	cmd.Stdin = file
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("allocate 950 MiB of 1 GiB as a user: %v: %s", err, out)
	}
}

const (
	mark   = "flocker: a file system is being made here, and is not complete\n"
	markAt = 384*mib - 4096
)

func TestInterruptedFormatInPlace(t *testing.T) {
	for _, test := range []struct {
		name string
		made func(t *testing.T, dev host.Device)
	}{
		{"before mke2fs began", func(*testing.T, host.Device) {}},
		{"when mke2fs had ended", func(t *testing.T, dev host.Device) {
			run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "nodiscard", dev.Path)
		}},
		{"before mke2fs wrote the superblock", func(t *testing.T, dev host.Device) {
			run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "nodiscard", dev.Path)
			writeAt(t, dev.Path, strings.Repeat("\x00", 4096), 0)
		}},
	} {
		for _, fs := range []string{"ext4", "xfs"} {
			t.Run(test.name+", then "+fs, func(t *testing.T) {
				dev := newDevice(t, 300*gib)
				writeAt(t, dev.Path, mark, markAt)
				test.made(t, dev)
				if sig := probe(t, dev); sig.Kind != host.Blank || !sig.Interrupted {
					t.Fatalf("signature: got %+v, want an interrupted blank one", sig)
				}
				format(t, dev, fs)
				if sig := probe(t, dev); sig.Kind != host.Filesystem || sig.Type != fs {
					t.Errorf("signature: got %+v, want %s", sig, fs)
				}
				if _, ok := errors.AsType[*host.NotBlankError](host.Format(t.Context(), dev, fs)); !ok {
					t.Error("format again: got no NotBlankError")
				}
			})
		}
	}
}

// TestFilesCannotFeignAnInterruptedFormat writes the mark where a task could get
// it, into a file system that has been mounted.
func TestFilesCannotFeignAnInterruptedFormat(t *testing.T) {
	dev := newDevice(t, 300*gib)
	format(t, dev, "ext4")
	unmount(t, mount(t, dev, "ext4"))
	writeAt(t, dev.Path, mark, markAt)
	if sig := probe(t, dev); sig.Kind != host.Filesystem || sig.Type != "ext4" {
		t.Errorf("signature: got %+v, want ext4", sig)
	}
}
