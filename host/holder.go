package host

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// HolderKind is how a holder keeps a file system or a block device in use.
type HolderKind int

// The kinds, those that the kernel holds first.
const (
	HeldByNestedMount HolderKind = iota // another file system is mounted on it
	HeldByLoop                          // a loop device shows a file of it, or the device
	HeldBySwap                          // the kernel swaps to a file of it, or to the device
	HeldByOverlay                       // it is a layer of an overlay
	HeldByDevice                        // device-mapper or md uses the device
	HeldByMount                         // it is mounted elsewhere
	HeldByFile                          // a process has a file open
	HeldByWorkingDirectory
	HeldByRootDirectory
	HeldByExecutable
	HeldByMapping // a process has a file mapped into its memory
	HeldByOpenDevice
)

// Holder keeps a file system from being unmounted, or a block device in use. Names
// and paths are fit for a log or a terminal.
type Holder struct {
	Kind    HolderKind
	Process Process // zero where the kernel holds it for no process that can be seen
	Object  string  // type of the nested file system, path of the loop device, name of the device
	Path    string  // of the file, or where it is mounted
	// Namespace is the mount namespace in which Path is a mount point, "" for the
	// one of this process.
	Namespace string
	keptBy    string // what keeps a namespace without a process
}

// String says what the holder does, as the rest of "in use: ".
func (h Holder) String() string {
	process := h.Process.String()
	switch h.Kind {
	case HeldByNestedMount:
		return fmt.Sprintf("a file system of type %s is mounted on it at %s%s (unmount that first)", h.Object, h.Path, h.inNamespace())
	case HeldByLoop:
		return fmt.Sprintf("loop device %s shows %s (losetup -d %s frees it)", h.Object, h.Path, h.Object)
	case HeldBySwap:
		return fmt.Sprintf("the kernel swaps to %s (swapoff %s frees it; if that fails with an I/O error, only a restart of the machine does)", h.Path, h.Path)
	case HeldByOverlay:
		return fmt.Sprintf("the overlay mounted at %s%s has a layer in it (unmount that first)", h.Path, h.inNamespace())
	case HeldByDevice:
		return fmt.Sprintf("device %s is built on it (dmsetup remove or mdadm --stop frees it)", h.Object)
	case HeldByMount:
		if h.Namespace == "" {
			return fmt.Sprintf("it is mounted at %s, too (unmount that first)", h.Path)
		}
		return fmt.Sprintf("it is mounted at %s%s", h.Path, h.inNamespace())
	case HeldByWorkingDirectory:
		return fmt.Sprintf("%s has its working directory at %s", process, h.Path)
	case HeldByRootDirectory:
		return fmt.Sprintf("%s has its root directory at %s", process, h.Path)
	case HeldByExecutable:
		return fmt.Sprintf("%s runs the program %s", process, h.Path)
	case HeldByMapping:
		return fmt.Sprintf("%s has %s mapped into its memory", process, h.Path)
	case HeldByOpenDevice:
		return fmt.Sprintf("%s has the device %s open", process, h.Path)
	default:
		return fmt.Sprintf("%s has %s open", process, h.Path)
	}
}

func (h Holder) inNamespace() string {
	switch {
	case h.Namespace == "":
		return ""
	case h.Process.ID == 0:
		return fmt.Sprintf(" in mount namespace %s, which %s keeps", h.Namespace, h.keptBy)
	default:
		return fmt.Sprintf(" in mount namespace %s of %s", h.Namespace, h.Process)
	}
}

// Process is a process of this machine.
type Process struct {
	ID        int
	Name      string // as in /proc/PID/comm
	User      string // its name on this machine, or its number
	Container string // such as "Mesos container ID", "" for none that the cgroup tells
}

func (p Process) String() string {
	text := fmt.Sprintf("process %d (%s", p.ID, p.Name)
	if p.User != "" {
		text += ", user " + p.User
	}
	if p.Container != "" {
		text += ", " + p.Container
	}
	return text + ")"
}

// describeProcess reads what /proc says of a process, without its command line: a process
// can make a read of its memory hang, and the line may hold secrets.
func describeProcess(id int) Process {
	dir := filepath.Join("/proc", strconv.Itoa(id))
	return Process{ID: id, Name: commandOf(dir), User: userOf(dir), Container: containerOf(readShort(filepath.Join(dir, "cgroup")))}
}

func commandOf(dir string) string { return plainName(readShort(filepath.Join(dir, "comm"))) }

// readShort returns the start of a small file of /proc, "" where it cannot be read.
func readShort(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data := make([]byte, 4096)
	n, _ := f.Read(data)
	return strings.TrimSpace(string(data[:n]))
}

// userOf returns the real user of a process.
func userOf(dir string) string {
	for line := range strings.Lines(readShort(filepath.Join(dir, "status"))) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "Uid:" {
			continue
		}
		if u, err := user.LookupId(fields[1]); err == nil {
			return plainName(u.Username)
		}
		return plainName(fields[1])
	}
	return ""
}

// containerOf tells the container of a process from its cgroups: the kinds of names
// that Mesos, Docker, podman and Kubernetes' runtimes give.
func containerOf(cgroups string) string {
	for line := range strings.Lines(cgroups) {
		_, path, ok := strings.Cut(strings.TrimSpace(line), ":/")
		if !ok {
			continue
		}
		var mesos []string
		for part := range strings.SplitSeq(path, "/") {
			name := strings.TrimSuffix(part, ".scope")
			if i := strings.LastIndexByte(name, '-'); i >= 0 && isHex(name[i+1:], 64) {
				return fmt.Sprintf("%s container %s", runtimeOf(name[:i]), name[i+1:][:12])
			}
			switch {
			case isHex(name, 64):
				return fmt.Sprintf("container %s", name[:12])
			case isUUID(part):
				mesos = append(mesos, part)
			}
		}
		if len(mesos) > 0 {
			return "Mesos container " + strings.Join(mesos, ".")
		}
	}
	return ""
}

func runtimeOf(prefix string) string {
	switch prefix {
	case "docker":
		return "Docker"
	case "libpod":
		return "podman"
	default:
		return plainName(prefix)
	}
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' && isHex(strings.ReplaceAll(s, "-", ""), 32)
}

// plainName makes a name that a task may have chosen fit for a sentence of ours:
// nothing in it can end the sentence or look like a part of it.
func plainName(name string) string {
	const limit = 32
	runes := []rune(name)
	if len(runes) > limit {
		runes = append(runes[:limit], '…')
	}
	for i, r := range runes {
		if r != '…' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/+@$ ", r) {
			runes[i] = '?'
		}
	}
	return string(runes)
}

// plainPath makes a path fit for a sentence, too: it quotes unusual characters.
func plainPath(path string) string {
	const limit = 160
	short := path
	if len(short) > limit {
		short = short[:limit/2] + "…" + short[len(short)-limit/2:]
	}
	for _, r := range path {
		plain := r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-_./:+@=#%", r)
		if !plain {
			return strconv.QuoteToASCII(short)
		}
	}
	return short
}

// linkText returns the target of a link of /proc as text, without following it.
func linkText(path string) string {
	text, err := os.Readlink(path)
	if err != nil {
		return "(a file)"
	}
	return plainPath(text)
}

// linked is the file to which a link of /proc leads.
type linked struct {
	FileID

	block uint64 // number of the block device that it is, 0 for other files
}

// statLink returns the file to which a link of /proc leads, from what the kernel knows
// already: a file system in user space is not asked, so no process can make it hang.
func statLink(path string) (linked, bool) {
	var stx unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE|unix.STATX_INO, &stx)
	if err != nil {
		return linked{}, false
	}
	file := linked{FileID: FileID{Dev: unix.Mkdev(stx.Dev_major, stx.Dev_minor), Inode: stx.Ino}}
	if stx.Mode&unix.S_IFMT == unix.S_IFBLK {
		file.block = unix.Mkdev(stx.Rdev_major, stx.Rdev_minor)
	}
	return file, true
}

// mountView is what a process sees of the mounts: those of its namespace that are below
// its root directory.
type mountView struct {
	namespace string
	root      FileID
}

func viewOf(dir, namespace string) mountView {
	root, _ := statLink(filepath.Join(dir, "root"))
	return mountView{namespace, root.FileID}
}
