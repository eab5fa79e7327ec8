package csi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// record is what has been staged and published of a volume on this node since
// the machine was started.
type record struct {
	Volume  string            `json:"volume"`
	Staging []string          `json:"staging,omitempty"` // paths at which it is staged
	Targets map[string]target `json:"targets,omitempty"` // paths at which it is published
	// Recovery is set while Mesos takes up what it had published before the
	// machine was restarted: see recovery.go.
	Recovery recovery `json:"recovery,omitempty"`
}

// target is a path at which a volume is published.
type target struct {
	Staging     string   `json:"staging"`
	Options     []string `json:"options,omitempty"` // as in ro
	Device      uint64   `json:"device,omitempty"`  // number of the mounted file system's device
	Placeholder bool     `json:"placeholder,omitempty"`
}

// Records are what the front door must not forget when the agent is restarted: a
// file for each volume, written before anything is mounted.
//
// They lie in a directory named after the kernel's boot id. No mount outlives its
// kernel, so what an earlier boot left behind is dropped unread, and nothing has
// to be flushed.
type Records struct {
	dir string

	mu  sync.Mutex
	all map[string]*record // by volume; values are never changed, only replaced
}

const (
	recordSuffix    = ".json"
	temporarySuffix = ".new"
	asideSuffix     = ".aside"
	maxRecord       = 1 << 20 // bytes
)

// OpenRecords reads the records of this boot below dir, which it makes if it is
// missing, and drops those of earlier boots. It sets unreadable records aside:
// their volumes stay mounted until an operator unmounts them.
func OpenRecords(dir, boot string, log *slog.Logger) (*Records, error) {
	r := &Records{dir: filepath.Join(dir, boot), all: map[string]*record{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of CSI records: %w", err)
	}
	if err := host.CheckPrivateDir(dir); err != nil {
		return nil, fmt.Errorf("directory of CSI records: %w", err)
	}
	aside := r.dir + asideSuffix
	if err := r.makeDir(dir, boot, aside, log); err != nil {
		return nil, err
	}
	if err := r.read(aside, log); err != nil {
		return nil, err
	}
	return r, dropOtherBoots(dir, boot, filepath.Base(aside))
}

// makeDir makes the directory of this boot. What is there in its place is set aside.
func (r *Records) makeDir(dir, boot, aside string, log *slog.Logger) error {
	err := os.Mkdir(r.dir, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	reason := host.CheckPrivateDir(r.dir)
	if reason == nil {
		return nil
	}
	parent, err := openDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(parent) }()
	if err := setAside(parent, boot, aside, reason, log); err != nil {
		return err
	}
	return os.Mkdir(r.dir, 0o700)
}

func (r *Records) read(aside string, log *slog.Logger) error {
	fd, err := openDir(r.dir)
	if err != nil {
		return fmt.Errorf("list CSI records: %w", err)
	}
	from := os.NewFile(uintptr(fd), r.dir)
	defer func() { _ = from.Close() }()
	names, err := from.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list CSI records: %w", err)
	}
	buffer := make([]byte, maxRecord+1)
	for _, name := range names {
		if strings.HasSuffix(name, temporarySuffix) {
			if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil { // of a write that a crash cut short: never took effect
				return fmt.Errorf("remove unfinished CSI record: %w", err)
			}
			continue
		}
		found, err := readRecord(fd, name, buffer)
		if err == nil {
			if should := filepath.Base(r.path(found.Volume)); should != name {
				err = fmt.Errorf("it is of volume %q, whose record is %s", found.Volume, should)
			}
		}
		if err != nil {
			if err := setAside(fd, name, aside, err, log); err != nil {
				return err
			}
			continue
		}
		r.all[found.Volume] = found
	}
	return nil
}

// setAside moves an entry that cannot be read away.
func setAside(from int, name, aside string, reason error, log *slog.Logger) error {
	if err := os.Mkdir(aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory for unreadable CSI records: %w", err)
	}
	to, err := openDir(aside)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(to) }()
	as, err := host.SetAside(from, name, to)
	if err != nil {
		return fmt.Errorf("set unreadable CSI record %s aside: %w", name, err)
	}
	log.Error("a CSI record cannot be read and was set aside. It says where a volume is mounted for containers: that stays mounted. "+
		"When they have ended, unmount it there (findmnt shows where), and remove the file", "file", filepath.Join(aside, as), "cause", reason)
	return nil
}

func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open directory", Path: path, Err: err}
	}
	return fd, nil
}

func dropOtherBoots(dir string, keep ...string) error {
	boots, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list boots: %w", err)
	}
	for _, b := range boots {
		if slices.Contains(keep, b.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, b.Name())); err != nil {
			return fmt.Errorf("drop CSI records of an earlier boot: %w", err)
		}
	}
	return nil
}

func readRecord(dir int, name string, buffer []byte) (*record, error) {
	data, err := host.ReadPrivateAt(dir, name, buffer)
	if err != nil {
		return nil, err
	}
	found := new(record)
	if err := json.Unmarshal(data, found); err != nil {
		return nil, err
	}
	if found.Volume == "" {
		return nil, errors.New("it names no volume")
	}
	return found, nil
}

// get returns the record of a volume, to be changed: an empty one where there is none.
func (r *Records) get(volume string) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.all[volume]
	if !ok {
		return &record{Volume: volume}
	}
	copied := *found
	copied.Staging = slices.Clone(found.Staging)
	copied.Targets = maps.Clone(found.Targets)
	return &copied
}

// empty reports whether there is nothing to remember.
func (c *record) empty() bool { return len(c.Staging) == 0 && len(c.Targets) == 0 }

// put writes a record, or removes that of which nothing is left.
func (r *Records) put(c *record) error {
	if c.empty() {
		return r.remove(c.Volume)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode CSI record of volume %s: %w", c.Volume, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	path := r.path(c.Volume)
	if err := os.WriteFile(path+temporarySuffix, data, 0o600); err != nil {
		return fmt.Errorf("write CSI record of volume %s: %w", c.Volume, err)
	}
	if err := os.Rename(path+temporarySuffix, path); err != nil {
		return fmt.Errorf("write CSI record of volume %s: %w", c.Volume, err)
	}
	r.all[c.Volume] = c
	fault.Point("csi.recorded")
	return nil
}

// remove forgets a volume.
func (r *Records) remove(volume string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path(volume)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove CSI record of volume %s: %w", volume, err)
	}
	delete(r.all, volume)
	fault.Point("csi.forgotten")
	return nil
}

// path returns the file of a volume. Escaping keeps names flat and below the
// file system's limit: ids come from outside.
func (r *Records) path(volume string) string {
	name := url.PathEscape(volume)
	if len(name) > 200 {
		sum := sha256.Sum256([]byte(volume))
		name = name[:100] + "-" + hex.EncodeToString(sum[:])
	}
	return filepath.Join(r.dir, "volume-"+name+recordSuffix)
}
