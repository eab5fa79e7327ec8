package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Condition is how a mounted file system is.
type Condition string

// The conditions. Where several fit, the first counts.
const (
	Healthy    Condition = ""
	DeviceGone Condition = "device-gone" // its block device is no longer there
	ShutDown   Condition = "shut-down"   // the kernel has shut it down: all that a process does there fails
	Aborted    Condition = "aborted"     // an ext4 that the kernel keeps from being written after an error
	Unmounted  Condition = "unmounted"   // nothing is mounted there
	Covered    Condition = "covered"     // something else is mounted over it
	ReadOnly   Condition = "read-only"   // remounted read-only
	IOErrors   Condition = "io-errors"   // usable, but the kernel failed to write data a moment ago
)

// errorsLast is how long after the last one the kernel's complaints about a device
// count as IOErrors.
const errorsLast = time.Minute

// Vigil watches one mounted file system. Its methods may be called at any time and by
// several goroutines.
//
// Inspect and Glance do no I/O on the device: they wake no disk and wait for none.
type Vigil struct {
	Target string
	Device uint64
	// Unsure says that there may be another mount over the file system by now.
	Unsure bool
	// Since is the number of the kernel's newest line before it was mounted: what that
	// and earlier lines say is of what had the device before.
	Since uint64

	name func() string // the kernel's, of the device

	looking   sync.Mutex // held while Inspect or Glance is at work
	mount     uint64     // id of the mount at Target
	gone      bool       // the device
	shut      bool       // an ext4, as its options show
	emergency bool       // likewise

	mu      sync.Mutex // never held during a system call
	said    []string   // the newest warnings about the device
	aborted bool       // by the kernel's log
	erred   time.Time  // of the newest I/O error in the kernel's log
}

// Diagnosis is what Inspect found.
type Diagnosis struct {
	Condition Condition
	// Detail is what is known beside the condition, such as the kernel's words, "" for
	// nothing.
	Detail string
}

// NewVigil watches the file system of a device that is mounted at target.
func NewVigil(target string, device uint64) *Vigil {
	return &Vigil{Target: target, Device: device, name: sync.OnceValue(func() string { return DeviceName(device) })}
}

// Hear takes over what the kernel logged, and reports whether a warning concerns this
// file system.
func (v *Vigil) Hear(lines []LogLine, now time.Time) bool {
	if len(lines) == 0 {
		return false
	}
	name := v.name()
	v.mu.Lock()
	defer v.mu.Unlock()
	concerned := false
	for _, l := range lines {
		if l.Level >= levelNotice || l.Seq <= v.Since || !l.Concerns(name) {
			continue
		}
		concerned = true
		if !slices.Contains(v.said, l.Text) && !strings.Contains(l.Text, "Please unmount") { // the agent's to do
			v.said = append(v.said, l.Text)
			v.said = v.said[max(0, len(v.said)-maxSaid):]
		}
		if endsWriting(l.Text) {
			v.aborted = true
		}
		if losesData(l.Text) {
			v.erred = now
		}
	}
	return concerned
}

// fatal are the kernel's words for an ext4 to which nothing is written any more. Until
// the next attempt to write, nothing else shows that. They are looked for where the
// kernel has them, not in what it quotes of a task's.
var fatal = regexp.MustCompile(`^(?:Aborting journal on device |EXT4-fs \([^()]*\): (?:Remounting filesystem read-only|shut down requested))`)

func endsWriting(text string) bool { return fatal.MatchString(text) }

// losing are the kernel's words for accesses to a device that failed.
var losing = regexp.MustCompile(`(?i)^[a-z0-9_ :/-]*error,? (?:on )?dev|^[A-Za-z0-9-]+(?: [a-z]+)? ?\([^()]*\): (?:[a-z0-9_]+:\d+: )?[^"']*(?:i/o error|potential data loss)|` +
	`^\S+: writeback error on |^jbd2: .*error`)

func losesData(text string) bool { return losing.MatchString(text) }

// Inspect looks at the file system by system calls, sysfs and /proc.
func (v *Vigil) Inspect(now time.Time) Diagnosis {
	v.looking.Lock()
	defer v.looking.Unlock()
	v.inspectFiles()
	return v.inspect(now)
}

// Glance is Inspect at a tenth of the cost, by two system calls. It finds a failure of
// the device or of an ext4 only if Inspect found it before, or Hear has the kernel's
// words for it.
func (v *Vigil) Glance(now time.Time) Diagnosis {
	v.looking.Lock()
	defer v.looking.Unlock()
	return v.inspect(now)
}

// inspectFiles reads what the kernel tells by files. The caller has v.looking.
func (v *Vigil) inspectFiles() {
	size, err := os.ReadFile(filepath.Join(sysBlock(v.Device), "size"))
	v.gone = errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || strings.TrimSpace(string(size)) == "0"
	// Since Linux 6.15 an ext4 with an error is no longer shown as read-only.
	v.shut, v.emergency = false, false
	options, _ := os.ReadFile("/proc/fs/ext4/" + v.name() + "/options")
	for o := range strings.Lines(string(options)) {
		v.shut = v.shut || o == "shutdown\n"
		v.emergency = v.emergency || o == "emergency_ro\n"
	}
}

func (v *Vigil) inspect(now time.Time) Diagnosis {
	if v.gone {
		return v.found(DeviceGone, "")
	}
	at, finding := v.look()
	if finding.Condition != Healthy {
		return finding
	}
	v.mu.Lock()
	aborted, erred := v.aborted, v.erred
	v.mu.Unlock()
	switch {
	case at.ext && v.shut:
		return v.found(ShutDown, "")
	case at.ext && (v.emergency || aborted || at.readOnly && extErrors(v.name())):
		return v.found(Aborted, "")
	case at.readOnly:
		return v.found(ReadOnly, "")
	case now.Sub(erred) < errorsLast:
		return v.found(IOErrors, "")
	}
	return Diagnosis{}
}

// found is a finding with what the kernel said about the device.
func (v *Vigil) found(c Condition, detail string) Diagnosis {
	v.mu.Lock()
	said := strings.Join(v.said, "; ")
	v.mu.Unlock()
	switch {
	case c == ReadOnly || c == Covered || c == Unmounted: // an operator's doing
	case said != "" && detail != "":
		detail += ": " + said
	case said != "":
		detail = said
	}
	return Diagnosis{Condition: c, Detail: detail}
}

// state is what the system calls say of the file system at a target.
type state struct {
	ext      bool
	readOnly bool
}

// look finds out what is mounted at the target, and how.
func (v *Vigil) look() (state, Diagnosis) {
	var stx unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, v.Target,
			unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &stx)
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return state{}, v.found(Unmounted, "")
	case errors.Is(err, unix.EIO): // what is mounted there is shut down
		return state{}, v.lookInTable(true)
	case err != nil:
		return state{}, v.found(ShutDown, err.Error())
	case stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0:
		return state{}, v.found(Unmounted, "")
	case unix.Mkdev(stx.Dev_major, stx.Dev_minor) != v.Device, stx.Mnt_id != v.mount && (v.mount != 0 || v.Unsure):
		if finding := v.lookInTable(false); finding.Condition != Healthy {
			return state{}, finding
		}
	}
	v.mount = stx.Mnt_id
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(v.Target, &fs) }); err != nil {
		return state{}, v.found(ShutDown, err.Error())
	}
	return state{ext: fs.Type == unix.EXT4_SUPER_MAGIC, readOnly: fs.Flags&unix.ST_RDONLY != 0}, Diagnosis{}
}

// lookInTable finds out by the mount table what is on top at the target. shut says
// that what is on top is shut down.
func (v *Vigil) lookInTable(shut bool) Diagnosis {
	table, err := MountTable()
	if err != nil {
		return v.found(Unmounted, err.Error())
	}
	var at []MountEntry
	for _, m := range table {
		if m.Target == v.Target {
			at = append(at, m)
		}
	}
	switch {
	case len(at) == 0:
		return v.found(Unmounted, "")
	case len(at) > 1 || at[0].Device != v.Device || at[0].Root != "/":
		top := at[len(at)-1]
		return v.found(Covered, fmt.Sprintf("%s of %s", top.FS, top.Source))
	case shut:
		return v.found(ShutDown, "")
	default:
		return Diagnosis{}
	}
}

// extErrors reports whether an ext4 has noted an error since it was checked.
func extErrors(name string) bool {
	count, err := os.ReadFile("/sys/fs/ext4/" + name + "/errors_count")
	return err == nil && strings.TrimSpace(string(count)) != "0"
}
