package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Subject is what a search finds the holders of.
type Subject struct {
	Device uint64 // number of the block device; see DeviceNumber
	Path   string // of the block device
	Target string // where this machine mounts it
	// Mounted says that it is mounted at Target and cannot be unmounted. Mounts
	// elsewhere, and openings of the device, are no cause of that.
	Mounted bool
}

// Finding is what a search has found.
type Finding struct {
	Holders []Holder // ordered, not all of them where there are many
	// Cut says why the search saw only a part of the machine, "" where it saw all.
	Cut string
}

// HolderSearch finds what keeps file systems and devices in use, to explain a failure;
// it decides nothing. It walks through /proc, so it is for failures alone. One walk
// serves all subjects that are asked for at about the same time. No path of a task is
// followed, no process' memory is read, and no file system in user space is asked.
type HolderSearch struct {
	mu   sync.Mutex
	last *holderIndex
	maps mapReader
}

const (
	searchLimit = 3 * time.Second // of one walk
	searchAge   = time.Second     // for how long a walk serves those that it names
	// searchShare bounds how much of the time is spent on walks.
	searchShare  = 10
	holdersShown = 6 // of one subject
)

// Find returns the holders of a subject. It takes some milliseconds for each thousand
// processes, and three seconds at the most.
func (s *HolderSearch) Find(ctx context.Context, subject Subject) Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.last; x != nil {
		age := time.Since(x.began)
		found := x.find(subject)
		if age < searchAge && len(found) > 0 || age < searchShare*x.took {
			return Finding{Holders: found, Cut: x.cut}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	x := newHolderIndex()
	x.walk(ctx)
	s.last = x
	found := x.find(subject)
	if len(found) == 0 {
		s.lookCloser(ctx, x, subject)
		found = x.find(subject)
	}
	x.took = time.Since(x.began)
	return Finding{Holders: found, Cut: x.cut}
}

// lookCloser looks at what costs more: threads that have left their process' mount
// namespace or directory, and memory maps.
func (s *HolderSearch) lookCloser(ctx context.Context, x *holderIndex, subject Subject) {
	for _, id := range x.processes {
		if ctx.Err() != nil {
			x.cut = fmt.Sprintf("the search was cut off after %s", searchLimit)
			return
		}
		x.inspectThreads(id)
	}
	mappers, err := s.maps.find(ctx, x.processes, subject.Device, 1)
	for _, m := range mappers {
		x.add(subject.Device, m)
	}
	if err != nil {
		x.cut = err.Error()
	}
}

// holderIndex is what one walk has found, by device.
type holderIndex struct {
	began          time.Time
	took           time.Duration
	cut            string
	mine           string // name of this process' mount namespace
	nsDevice       uint64 // of the file system of namespaces
	processes      []int
	held           map[uint64][]Holder
	seen           map[uint64]map[heldKey]bool
	views          map[mountView]bool
	visited        map[string]bool          // mount namespaces that were looked into
	namespaceFiles map[string]namespaceFile // mount namespaces that files keep, by name
	swaps          []string                 // files
	overlays       []overlayLayer
}

// heldKey names what counts as one holder: a process counts once for each way in
// which it has a device.
type heldKey struct {
	process   int
	kind      HolderKind
	namespace string
	object    string
}

// namespaceFile is a file that keeps a mount namespace without a process.
type namespaceFile struct{ path, keptBy string }

type overlayLayer struct {
	directory string
	holder    Holder
}

// holdersKept bounds what is kept of one device.
const holdersKept = 24

func newHolderIndex() *holderIndex {
	return &holderIndex{
		began: time.Now(), held: map[uint64][]Holder{}, seen: map[uint64]map[heldKey]bool{}, views: map[mountView]bool{},
		visited: map[string]bool{}, namespaceFiles: map[string]namespaceFile{},
	}
}

func (x *holderIndex) add(device uint64, h Holder) {
	key := heldKey{h.Process.ID, h.Kind, h.Namespace, ""}
	if h.Process.ID == 0 || h.Kind == HeldByNestedMount || h.Kind == HeldByMount && h.Namespace == "" {
		key.object = h.Object + h.Path
	}
	if x.seen[device] == nil {
		x.seen[device] = map[heldKey]bool{}
	}
	if x.seen[device][key] || len(x.held[device]) >= holdersKept {
		return
	}
	x.seen[device][key] = true
	x.held[device] = append(x.held[device], h)
}

// walk looks at the kernel's own users first, then at each process once.
func (x *holderIndex) walk(ctx context.Context) {
	x.mine, _ = os.Readlink("/proc/self/ns/mnt")
	ns, _ := statLink("/proc/self/ns/mnt")
	x.nsDevice = ns.Dev
	x.visited[x.mine] = true
	if table, err := mountinfo.GetMounts(nil); err == nil {
		x.readTable(table, "", Process{}, "")
	}
	x.readLoops()
	x.readSwaps()
	var err error
	if x.processes, err = processIDs(); err != nil {
		x.cut = "/proc cannot be read: " + err.Error()
		return
	}
	for i, id := range x.processes {
		if ctx.Err() != nil {
			x.cut = fmt.Sprintf("the search was cut off after %s, at %d of %d processes", searchLimit, i, len(x.processes))
			return
		}
		x.inspect(filepath.Join("/proc", strconv.Itoa(id)), id, true)
	}
	for namespace, file := range x.namespaceFiles {
		if ctx.Err() == nil && !x.visited[namespace] {
			x.enter(namespace, file)
		}
	}
}

// inspect looks at a process, or at a thread of it.
func (x *holderIndex) inspect(dir string, id int, files bool) {
	process := sync.OnceValue(func() Process { return describeProcess(id) })
	for name, kind := range map[string]HolderKind{"cwd": HeldByWorkingDirectory, "root": HeldByRootDirectory, "exe": HeldByExecutable} {
		path := filepath.Join(dir, name)
		if file, ok := statLink(path); ok && x.room(file.Dev) {
			x.add(file.Dev, Holder{Kind: kind, Process: process(), Path: linkText(path)})
		}
	}
	if files {
		x.inspectFiles(filepath.Join(dir, "fd"), process)
	}
	namespace, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
	if err != nil || namespace == x.mine {
		return
	}
	x.visited[namespace] = true
	view := viewOf(dir, namespace)
	if x.views[view] {
		return
	}
	x.views[view] = true
	f, err := os.Open(filepath.Join(dir, "mountinfo"))
	if err != nil {
		return // it has ended
	}
	defer f.Close()
	if table, err := mountinfo.GetMountsFromReader(f, nil); err == nil {
		x.readTable(table, numberOf(namespace), process(), "")
	}
}

// room reports whether more holders of a device are kept.
func (x *holderIndex) room(device uint64) bool { return len(x.held[device]) < holdersKept }

// filesShown bounds how many open files of one process are looked at.
const filesShown = 1 << 16

func (x *holderIndex) inspectFiles(dir string, process func() Process) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	names, _ := f.Readdirnames(filesShown)
	for _, name := range names {
		path := filepath.Join(dir, name)
		file, ok := statLink(path)
		if !ok {
			continue
		}
		switch {
		case file.block != 0 && x.room(file.block):
			x.add(file.block, Holder{Kind: HeldByOpenDevice, Process: process(), Path: linkText(path)})
		case file.Dev == x.nsDevice:
			if link, err := os.Readlink(path); err == nil && strings.HasPrefix(link, "mnt:[") {
				x.namespaceFiles[link] = namespaceFile{path: path, keptBy: "a file that " + process().String() + " has open"}
			}
		case x.room(file.Dev):
			x.add(file.Dev, Holder{Kind: HeldByFile, Process: process(), Path: linkText(path)})
		}
	}
}

// inspectThreads looks at threads that may have another mount namespace, or another
// working directory, than their process.
func (x *holderIndex) inspectThreads(id int) {
	dir := filepath.Join("/proc", strconv.Itoa(id))
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return
	}
	_, err = os.Readlink(filepath.Join(dir, "cwd"))
	headless := err != nil // its first thread has ended, and shows no files
	for _, t := range tasks {
		if t.Name() != strconv.Itoa(id) {
			x.inspect(filepath.Join(dir, "task", t.Name()), id, headless)
		}
	}
}

// find returns the holders of a subject, in an order that does not change.
func (x *holderIndex) find(subject Subject) []Holder {
	var found []Holder
	for _, h := range x.held[subject.Device] {
		elsewhere := h.Kind == HeldByMount || h.Kind == HeldByOpenDevice || h.Kind == HeldByOverlay
		volume := h.Kind == HeldByMount && h.Namespace == "" && h.Path == plainPath(subject.Target)
		own := h.Kind == HeldByOpenDevice && h.Process.ID == os.Getpid() // while a worker looks at it
		if !volume && !own && (!subject.Mounted || !elsewhere) {
			found = append(found, h)
		}
	}
	for _, swap := range x.swaps {
		if swap == subject.Path || subject.Target != "" && strings.HasPrefix(swap, subject.Target+"/") {
			found = append(found, Holder{Kind: HeldBySwap, Path: plainPath(swap)})
		}
	}
	for _, layer := range x.overlays {
		if !subject.Mounted && subject.Target != "" && within(layer.directory, subject.Target) {
			found = append(found, layer.holder)
		}
	}
	for _, name := range blockHolders(subject.Device) {
		found = append(found, Holder{Kind: HeldByDevice, Object: name})
	}
	slices.SortStableFunc(found, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Process.ID, b.Process.ID), cmp.Compare(a.Path, b.Path))
	})
	found = firstOfEach(found)
	return found[:min(len(found), holdersShown)]
}

// firstOfEach keeps the first of the holders, which are sorted, for each process.
func firstOfEach(sorted []Holder) []Holder {
	known := map[int]bool{}
	return slices.DeleteFunc(sorted, func(h Holder) bool {
		if h.Process.ID == 0 || h.Kind < HeldByMount {
			return false
		}
		again := known[h.Process.ID]
		known[h.Process.ID] = true
		return again
	})
}

// Watch returns when a holder may have gone: its process ended, or a mount changed in
// its namespace. It returns ctx's error when ctx ends, and errors.ErrUnsupported at once
// if the kernel reports no such event for any of the holders.
func (f Finding) Watch(ctx context.Context) error {
	var polled []unix.PollFd
	defer func() {
		for _, p := range polled {
			_ = unix.Close(int(p.Fd))
		}
	}()
	add := func(fd int, err error, events int16) {
		if err == nil {
			polled = append(polled, unix.PollFd{Fd: int32(fd), Events: events})
		}
	}
	table := func(process string) {
		fd, err := open(filepath.Join("/proc", process, "mountinfo"), unix.O_RDONLY)
		add(fd, err, unix.POLLPRI)
	}
	for _, h := range f.Holders {
		mounts := h.Kind == HeldByMount || h.Kind == HeldByNestedMount || h.Kind == HeldByOverlay
		if h.Process.ID != 0 && h.Process.ID != os.Getpid() {
			fd, err := unix.PidfdOpen(h.Process.ID, 0)
			add(fd, err, unix.POLLIN)
			if mounts {
				table(strconv.Itoa(h.Process.ID))
			}
		} else if mounts && h.Namespace == "" {
			table("self")
		}
	}
	if len(polled) == 0 {
		return errors.ErrUnsupported
	}
	end, closeEnd, err := endOf(ctx)
	if err != nil {
		return err
	}
	defer closeEnd()
	fds := append([]unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}, polled...)
	err = retry(func() error { _, err := unix.Poll(fds, -1); return err })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Text names the holders, as the rest of a sentence.
func (f Finding) Text() string {
	var parts []string
	for _, h := range f.Holders {
		parts = append(parts, h.String())
	}
	if len(parts) == 0 {
		parts = append(parts, "no process, mount, loop device, swap file or stacked device that /proc and /sys show has it in use; "+
			"an NFS export, a socket in it, a descriptor in flight between processes or a file system that was unmounted while it was frozen "+
			"(mount the device, and thaw it with fsfreeze -u) may")
	}
	if f.Cut != "" {
		parts = append(parts, f.Cut)
	}
	return strings.Join(parts, "; ")
}
