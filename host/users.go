package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Process is a process of this machine.
type Process struct {
	ID   int
	Name string // as in /proc/PID/comm
}

func (p Process) String() string { return fmt.Sprintf("%s (process %d)", p.Name, p.ID) }

// Users returns up to limit processes that keep a file system from being
// unmounted: by an open file, their working directory or their root on the
// device with this number. It walks through /proc and is for explaining a
// failure, not for deciding anything: processes come and go, and what the
// kernel itself holds is not among them.
func Users(device uint64, limit int) []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var users []Process
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if dir := filepath.Join("/proc", e.Name()); uses(dir, device) {
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			users = append(users, Process{ID: id, Name: strings.TrimSpace(string(name))})
			if len(users) == limit {
				break
			}
		}
	}
	return users
}

// uses reports whether a process has a file on the device open.
func uses(dir string, device uint64) bool {
	for _, name := range []string{"cwd", "root", "exe"} {
		if onDevice(filepath.Join(dir, name), device) {
			return true
		}
	}
	files, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, f := range files {
		if onDevice(filepath.Join(dir, "fd", f.Name()), device) {
			return true
		}
	}
	return false
}

func onDevice(path string, device uint64) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Dev == device
}

// Mounters returns up to limit processes that have a file system mounted in a
// mount namespace of their own, as a container has its volumes. They keep its
// device in use though they may have no file open. What they only inherited does
// not count: whatever is below root, and where this process has it mounted, too.
// Like Users it walks through /proc.
func Mounters(device uint64, root string, limit int) []Process {
	mine, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	table, err := MountTable()
	if err != nil {
		return nil
	}
	inherited := map[string]bool{}
	for _, m := range table {
		if m.Device == device {
			inherited[m.Target] = true
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var users []Process
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		own := func(target string) bool { return !inherited[target] && !strings.HasPrefix(target, root+"/") }
		if ns, err := os.Readlink(filepath.Join(dir, "ns/mnt")); err != nil || ns == mine || !mounts(dir, device, own) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		users = append(users, Process{ID: id, Name: strings.TrimSpace(string(name))})
		if len(users) == limit {
			break
		}
	}
	return users
}

// mounts reports whether a process has a device mounted somewhere of its own.
func mounts(dir string, device uint64, own func(target string) bool) bool {
	table, err := os.Open(filepath.Join(dir, "mountinfo"))
	if err != nil {
		return false // it has ended
	}
	defer table.Close()
	found, _ := mountinfo.GetMountsFromReader(table, func(m *mountinfo.Info) (skip, stop bool) {
		is := unix.Mkdev(uint32(m.Major), uint32(m.Minor)) == device && own(m.Mountpoint)
		return !is, is
	})
	return len(found) > 0
}
