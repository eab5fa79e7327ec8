package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// ProgramsDir is where the hosts have the project's programs.
const ProgramsDir = "/opt/flocker/bin"

// ToolsDir is where the hosts have the lab's tools.
const ToolsDir = "/opt/tools"

// etcOfMachine is where a host has the machine's /etc, read-only: its own /etc
// links there, except for what a host must have for itself.
const etcOfMachine = "/.machine/etc"

// cgroups is what a host has at /sys/fs/cgroup: a plain directory, since
// control groups belong to the kernel that all hosts share. Whoever plays with
// them writes the files.
const cgroups = "/.cgroup"

func (h *Host) root() string { return filepath.Join(h.Dir, "root") }

// install makes the host's disk: its root directory and its logs.
func (h *Host) install() error {
	dirs := []string{
		"dev", "proc", "sys", "usr", "tmp", "run", "root", "mnt", "srv", "old", "opt/flocker/bin", ToolsDir,
		"var/lib", "var/log", "var/tmp", "var/cache", "etc/flocker", etcOfMachine, cgroups,
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(h.Path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"tmp", "var/tmp"} {
		if err := os.Chmod(h.Path(dir), 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(h.Dir, "log"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/run", h.Path("var/run")); err != nil {
		return err
	}
	for name := range h.lab.opts.Tools {
		// A file to bind the tool on.
		if err := os.WriteFile(h.Path(filepath.Join(ToolsDir, name)), nil, 0o755); err != nil {
			return err
		}
	}
	for _, name := range topDirs() {
		if err := likeMachine("/"+name, h.Path(name)); err != nil {
			return err
		}
	}
	return h.installEtc()
}

// topDirs are the places of programs and libraries beside /usr: links on a
// machine of today, directories on an older one.
func topDirs() []string { return []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} }

func likeMachine(path, copied string) error {
	target, err := os.Readlink(path)
	switch {
	case err == nil:
		return os.Symlink(target, copied)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default: // not a link: it gets bound
		return os.MkdirAll(copied, 0o755)
	}
}

func (h *Host) installEtc() error {
	own := map[string]string{
		"hostname":   h.Name + "\n",
		"hosts":      fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", h.Address, h.Name),
		"machine-id": strings.ReplaceAll(uuid.NewString(), "-", "") + "\n",
	}
	for name, text := range own {
		if err := os.WriteFile(h.Path("etc/"+name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir("/etc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := os.Symlink(filepath.Join(etcOfMachine, e.Name()), h.Path("etc/"+e.Name()))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// enterRoot makes the host's mount table and makes its disk the root of the
// calling thread, which has a mount namespace of its own already.
func (h *Host) enterRoot() error {
	root := h.root()
	// Private before anything else, or what follows would show outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := dropLoopMounts(); err != nil {
		return err
	}
	binds := []struct {
		from, to string
		readOnly bool
	}{
		{from: root, to: ""},
		{from: "/dev", to: "dev"},
		{from: "/sys", to: "sys"},
		{from: h.Path(cgroups), to: "sys/fs/cgroup"},
		{from: "/usr", to: "usr", readOnly: true},
		{from: "/etc", to: etcOfMachine, readOnly: true},
		{from: h.lab.SAN, to: h.lab.SAN},
	}
	for _, name := range topDirs() {
		if info, err := os.Lstat("/" + name); err == nil && info.IsDir() {
			binds = append(binds, struct {
				from, to string
				readOnly bool
			}{from: "/" + name, to: name, readOnly: true})
		}
	}
	if p := h.lab.opts.Programs; p != nil {
		binds = append(binds, struct {
			from, to string
			readOnly bool
		}{from: p.Dir, to: ProgramsDir, readOnly: true})
	}
	for name, path := range h.lab.opts.Tools {
		binds = append(binds, struct {
			from, to string
			readOnly bool
		}{from: path, to: filepath.Join(ToolsDir, name), readOnly: true})
	}
	for _, b := range binds {
		if err := bind(b.from, filepath.Join(root, b.to), b.readOnly); err != nil {
			return err
		}
	}
	if err := unix.PivotRoot(root, filepath.Join(root, "old")); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave old root: %w", err)
	}
	if h.lab.opts.PrivateMounts {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// dropLoopMounts lets go of the machine's mounts of loop devices, of which the
// new namespace has copies: as long as they exist, whoever uses such a device,
// as other tests do at this moment, cannot get rid of it.
func dropLoopMounts() error {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mount table: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	slices.Reverse(lines) // what was mounted last goes first
	for _, line := range lines {
		mount, source, _ := strings.Cut(line, " - ")
		at, from := strings.Fields(mount), strings.Fields(source)
		if len(at) < 5 || len(from) < 2 || !strings.HasPrefix(from[1], "/dev/loop") {
			continue
		}
		// The path may be gone, or hidden by another mount; all goes with the
		// old root in a moment anyway.
		_ = unix.Unmount(at[4], unix.MNT_DETACH)
	}
	return nil
}

func bind(from, to string, readOnly bool) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	if !readOnly {
		return nil
	}
	if err := unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", from, err)
	}
	return nil
}
