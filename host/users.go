package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Users returns up to limit processes that keep a file system from being
// unmounted: by an open or mapped file, their working directory or their root on
// the device with this number. An error says that there may be more of them. Users
// walks through /proc: processes come and go, and what the kernel itself holds is
// not among them.
func (s *HolderSearch) Users(ctx context.Context, device uint64, limit int) ([]Process, error) {
	processes, err := processIDs()
	if err != nil {
		return nil, err
	}
	var users []Process
	var others []int
	for _, id := range processes {
		if len(users) == limit {
			return users, nil
		}
		if uses(filepath.Join("/proc", strconv.Itoa(id)), device) {
			users = append(users, describeProcess(id))
		} else {
			others = append(others, id)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	mappers, err := s.maps.find(ctx, others, device, limit-len(users))
	for _, m := range mappers {
		users = append(users, m.Process)
	}
	return users, err
}

// processIDs returns the processes of this machine.
func processIDs() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
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
	file, ok := statLink(path)
	return ok && file.Dev == device
}

// Mounters returns up to limit processes that have a file system mounted in a
// mount namespace of their own, as a container has its volumes. They keep its
// device in use though they may have no file open. Copies of this namespace's
// mounts do not count, nor do mounts below a copy of the mount root. Like Users it
// walks through /proc.
func Mounters(device uint64, root string, limit int) []Process {
	mine, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil
	}
	known := map[place]bool{}
	for _, p := range placesOf(table, device) {
		known[p] = true
	}
	below := placeOf(table, root)
	own := func(p place) bool {
		return !known[p] && (p.device != below.device || !within(p.path, below.path))
	}
	processes, err := processIDs()
	if err != nil {
		return nil
	}
	// A process that has changed its root directory may not see a mount that it
	// keeps: the namespace counts. What processes with one namespace and one root
	// directory see is the same, and looked at once.
	seen := map[mountView]bool{}
	mounters := map[string]bool{}
	type candidate struct {
		id        int
		namespace string
	}
	var others []candidate
	for _, id := range processes {
		dir := filepath.Join("/proc", strconv.Itoa(id))
		namespace, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
		if err != nil || namespace == mine {
			continue
		}
		v := viewOf(dir, namespace)
		others = append(others, candidate{id, namespace})
		if !mounters[namespace] && !seen[v] {
			seen[v] = true
			mounters[namespace] = mounts(dir, device, own)
		}
	}
	var users []Process
	for _, c := range others {
		if len(users) == limit {
			break
		}
		if mounters[c.namespace] {
			users = append(users, describeProcess(c.id))
		}
	}
	return users
}

// mounts reports whether a process has a device mounted somewhere of its own.
func mounts(dir string, device uint64, own func(place) bool) bool {
	f, err := os.Open(filepath.Join(dir, "mountinfo"))
	if err != nil {
		return false // it has ended
	}
	defer f.Close()
	table, err := mountinfo.GetMountsFromReader(f, nil)
	return err == nil && slices.ContainsFunc(placesOf(table, device), own)
}

// place is a directory, named by its file system: a path means another directory
// in each mount namespace and below each root directory.
type place struct {
	device uint64
	path   string // from the root of the file system
}

// placesOf returns where a device is mounted.
func placesOf(table []*mountinfo.Info, device uint64) []place {
	var places []place
	var byID map[int]*mountinfo.Info
	for _, m := range table {
		if unix.Mkdev(uint32(m.Major), uint32(m.Minor)) != device {
			continue
		}
		if byID == nil {
			byID = make(map[int]*mountinfo.Info, len(table))
			for _, m := range table {
				byID[m.ID] = m
			}
		}
		at := place{path: m.Mountpoint} // on a mount that the process cannot see
		if parent, ok := byID[m.Parent]; ok && parent != m {
			at = placeBelow(parent, m.Mountpoint)
		}
		places = append(places, at)
	}
	return places
}

// placeOf returns the place that a path leads to.
func placeOf(table []*mountinfo.Info, path string) place {
	var on *mountinfo.Info
	for _, m := range table {
		if within(path, m.Mountpoint) && (on == nil || len(m.Mountpoint) >= len(on.Mountpoint)) {
			on = m
		}
	}
	if on == nil {
		return place{path: path}
	}
	return placeBelow(on, path)
}

func placeBelow(m *mountinfo.Info, path string) place {
	rest := strings.TrimPrefix(path, strings.TrimSuffix(m.Mountpoint, "/"))
	return place{device: unix.Mkdev(uint32(m.Major), uint32(m.Minor)), path: filepath.Join(m.Root, rest)}
}
