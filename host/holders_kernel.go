package host

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// readTable takes over the mounts of a namespace, "" for the one of this process.
func (x *holderIndex) readTable(table []*mountinfo.Info, namespace string, process Process, keptBy string) {
	devices := make(map[int]uint64, len(table))
	for _, m := range table {
		devices[m.ID] = unix.Mkdev(uint32(m.Major), uint32(m.Minor))
	}
	for _, m := range table {
		at := Holder{Kind: HeldByMount, Process: process, Path: plainPath(m.Mountpoint), Namespace: namespace, keptBy: keptBy}
		if x.room(devices[m.ID]) {
			x.add(devices[m.ID], at)
		}
		if on, ok := devices[m.Parent]; ok && m.Parent != m.ID && x.room(on) {
			nested := at
			nested.Kind, nested.Object = HeldByNestedMount, plainName(m.FSType)
			x.add(on, nested)
		}
		switch {
		case m.FSType == "overlay":
			x.readOverlay(table, m, at)
		case m.FSType == "nsfs" && strings.HasPrefix(m.Root, "mnt:[") && namespace == "":
			x.namespaceFiles[m.Root] = namespaceFile{path: m.Mountpoint, keptBy: "the mount at " + plainPath(m.Mountpoint)}
		}
	}
}

// readOverlay finds the file systems of an overlay's layers. An overlay keeps them
// also when they are unmounted.
func (x *holderIndex) readOverlay(table []*mountinfo.Info, m *mountinfo.Info, at Holder) {
	at.Kind = HeldByOverlay
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		name, dirs, _ := strings.Cut(option, "=")
		if !slices.Contains([]string{"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"}, name) {
			continue
		}
		for dir := range strings.SplitSeq(dirs, ":") {
			if dir == "" {
				continue
			}
			if device := placeOf(table, dir).device; x.room(device) {
				x.add(device, at)
			}
			if at.Namespace == "" && len(x.overlays) < 1024 {
				x.overlays = append(x.overlays, overlayLayer{directory: dir, holder: at})
			}
		}
	}
}

// readLoops finds loop devices on files of other file systems, and on devices. A
// device without a file in /dev is known by its path in sysfs alone.
func (x *holderIndex) readLoops() {
	numbers, err := loopNumbers()
	if err != nil {
		return
	}
	for _, number := range numbers {
		backing := LoopFile(number)
		if backing == "" {
			continue
		}
		dev, err := openLoop(number)
		if err != nil {
			continue
		}
		info, err := loopStatus(dev)
		_ = unix.Close(dev)
		if err != nil {
			continue
		}
		h := Holder{Kind: HeldByLoop, Object: loopPath(number), Path: plainPath(backing)}
		if info.Rdevice != 0 {
			x.add(info.Rdevice, h)
		} else {
			x.add(info.Device, h)
		}
	}
}

// readSwaps finds the files and devices that the kernel swaps to.
func (x *holderIndex) readSwaps() {
	data, _ := os.ReadFile("/proc/swaps")
	for line := range strings.Lines(string(data)) {
		if path, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(path, "/") {
			x.swaps = append(x.swaps, unescapeOctal(path))
		}
	}
}

// unescapeOctal undoes the escapes of blanks in a table of the kernel or in fstab(5), such
// as \040.
func unescapeOctal(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// blockHolders names the devices that are built on a block device.
func blockHolders(device uint64) []string {
	entries, err := os.ReadDir(filepath.Join(sysBlock(device), "holders"))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := "/dev/" + plainName(e.Name())
		if mapped := readShort(filepath.Join("/sys/block", e.Name(), "dm/name")); mapped != "" {
			name += " (device-mapper " + plainName(mapped) + ")"
		}
		names = append(names, name)
	}
	return names
}

// enter looks into a mount namespace that no process is in.
func (x *holderIndex) enter(namespace string, file namespaceFile) {
	x.visited[namespace] = true
	fd, err := openNamespace(file.path)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if table, err := mountsIn(fd); err == nil {
		x.readTable(table, numberOf(namespace), Process{}, file.keptBy)
	}
}

// openNamespace opens the file of a namespace, and nothing else.
func openNamespace(path string) (int, error) {
	at, err := open(path, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(at, &fs); err != nil {
		return -1, err
	}
	if fs.Type != unix.NSFS_MAGIC {
		return -1, fmt.Errorf("%s is no namespace", path)
	}
	return open(fmt.Sprintf("/proc/self/fd/%d", at), unix.O_RDONLY)
}

// mountsIn reads the mount table of a namespace on a thread that ends with that: a
// thread cannot leave a namespace as it came.
func mountsIn(namespace int) ([]*mountinfo.Info, error) {
	type outcome struct {
		table []*mountinfo.Info
		err   error
	}
	result := make(chan outcome, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end before the process. While it is kept
			// busy here, another one is taken.
			defer runtime.UnlockOSThread()
			table, err := mountsIn(namespace)
			result <- outcome{table, err}
			return
		}
		table, err := mountsOnThread(namespace)
		result <- outcome{table, err}
	}()
	got := <-result
	return got.table, got.err
}

func mountsOnThread(namespace int) ([]*mountinfo.Info, error) {
	// /proc of the other namespace may be anything.
	self, err := open("/proc/thread-self", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(self)
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, err
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(self, "mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// numberOf returns the number in a namespace's name, such as mnt:[4026531841].
func numberOf(namespace string) string {
	return strings.TrimSuffix(strings.TrimPrefix(namespace, "mnt:["), "]")
}

// LockHolders names the processes of this machine that have a file locked by flock(2),
// as the kernel tells. A loop device keeps the lock of the process that made it, which
// may have ended.
func LockHolders(file FileID) []Process {
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	// Lines are "1: FLOCK  ADVISORY  WRITE 4211 fe:01:131 0 EOF".
	number := fmt.Sprintf("%02x:%02x:%d", unix.Major(file.Dev), unix.Minor(file.Dev), file.Inode)
	var processes []Process
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != number {
			continue
		}
		id, err := strconv.Atoi(fields[4])
		if err != nil || id <= 0 {
			continue
		}
		if p := describeProcess(id); p.Name != "" {
			processes = append(processes, p)
		}
	}
	return processes
}
