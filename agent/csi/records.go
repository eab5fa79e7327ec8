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

// record is what has been staged and published of a volume on this node.
type record struct {
	Volume string `json:"volume"`
	// Boot is the boot id of the kernel under which it was written. What an
	// earlier kernel had mounted is gone.
	Boot    string            `json:"boot"`
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

// Records are what the front door must not forget, neither when the agent is
// restarted nor when the machine is: a file for each volume, written before
// anything is mounted.
type Records struct {
	dir  string
	boot string

	mu  sync.Mutex
	all map[string]*record // by volume; values are never changed, only replaced
}

const (
	recordSuffix    = ".json"
	temporarySuffix = ".new"
	maxRecord       = 1 << 20 // bytes
)

// OpenRecords reads the records in a directory, which is made where there is
// none. A file that cannot be read is an error: it says where a volume may be
// mounted.
func OpenRecords(dir, boot string) (*Records, error) {
	r := &Records{dir: dir, boot: boot, all: map[string]*record{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of CSI records: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list CSI records: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
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
	return r, nil
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
	if found.Volume == "" || found.Boot == "" {
		return nil, errors.New("it names no volume")
	}
	return found, nil
}

// get returns the record of a volume as of this boot. Where there is only one
// of an earlier boot, that is earlier.
func (r *Records) get(volume string) (now, earlier *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.all[volume]
	switch {
	case !ok:
		return &record{Volume: volume, Boot: r.boot}, nil
	case found.Boot != r.boot:
		return &record{Volume: volume, Boot: r.boot}, found
	}
	return found.clone(), nil
}

func (c *record) clone() *record {
	copied := *c
	copied.Staging = slices.Clone(c.Staging)
	copied.Targets = maps.Clone(c.Targets)
	return &copied
}

// empty reports whether there is nothing to remember.
func (c *record) empty() bool { return len(c.Staging) == 0 && len(c.Targets) == 0 }

// put writes a record, so that it survives a power cut, too: Mesos remembers
// as well, and after a restart asks for what it has published.
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
	if err := r.write(r.path(c.Volume), data); err != nil {
		return fmt.Errorf("write CSI record of volume %s: %w", c.Volume, err)
	}
	r.all[c.Volume] = c
	fault.Point("csi.recorded")
	return nil
}

func (r *Records) write(path string, data []byte) (err error) {
	f, err := os.OpenFile(path+temporarySuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+temporarySuffix, path); err != nil {
		return err
	}
	dir, err := os.Open(r.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
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
