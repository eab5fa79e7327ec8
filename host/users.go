package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
// mount namespace of their own, as a container has its volumes, anywhere but
// below root: what is there they only inherited. They keep its device in use
// though they may have no file open. Like Users it walks through /proc.
func Mounters(device uint64, root string, limit int) []Process {
	mine, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	number := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	var users []Process
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if ns, err := os.Readlink(filepath.Join(dir, "ns/mnt")); err != nil || ns == mine || !mounts(dir, number, root) {
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

// mounts reports whether a process has a device mounted outside of root.
func mounts(dir, number, root string) bool {
	table, _ := os.ReadFile(filepath.Join(dir, "mountinfo"))
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[2] == number && !strings.HasPrefix(fields[4], root+"/") {
			return true
		}
	}
	return false
}
