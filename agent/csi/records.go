package csi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/flocker-mesos/flocker/fault"
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
	maxRecord       = 1 << 20 // bytes
)

// OpenRecords reads the records of this boot below a directory, which is made
// where there is none, and drops those of earlier ones. A file that cannot be read
// is an error: it says where a volume may be mounted.
func OpenRecords(dir, boot string) (*Records, error) {
	r := &Records{dir: filepath.Join(dir, boot), all: map[string]*record{}}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of CSI records: %w", err)
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list CSI records: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(r.dir, e.Name())
		if strings.HasSuffix(e.Name(), temporarySuffix) {
			if err := os.Remove(path); err != nil { // of a write that a crash cut short: never took effect
				return nil, fmt.Errorf("remove unfinished CSI record: %w", err)
			}
			continue
		}
		found, err := readRecord(path)
		if err != nil {
			return nil, fmt.Errorf("CSI record %s cannot be read: %w. It says where a volume is mounted for containers. If none of "+
				"them runs any more, remove the file and start the agent again; nothing has been changed", path, err)
		}
		r.all[found.Volume] = found
	}
	return r, dropOtherBoots(dir, boot)
}

func dropOtherBoots(dir, boot string) error {
	boots, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list boots: %w", err)
	}
	for _, b := range boots {
		if b.Name() == boot {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, b.Name())); err != nil {
			return fmt.Errorf("drop CSI records of an earlier boot: %w", err)
		}
	}
	return nil
}

func readRecord(path string) (*record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, fmt.Errorf("it is longer than %d bytes", maxRecord)
	}
	data, err := os.ReadFile(path)
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
