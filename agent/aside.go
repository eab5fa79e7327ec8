package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// A file of the journal that cannot be trusted stands for a container that may be
// running. It is set aside, so that the agent goes on, and its consumer takes part
// in everything as others do: what the file names stays mounted. Where the file
// does not tell, everything stays that was mounted when the agent started. That
// ends when the consumer is released or the file is removed.

// aside is an entry of the journal that was set aside.
type aside struct {
	path   string
	reason string
	// consumer is the part of the record that could be read.
	consumer consumer
	// certain means that consumer lists all volumes of the record.
	certain bool
}

// asidePrefix begins the name of the directory beside a boot's journal that has
// what was set aside of it.
const asidePrefix = "aside-"

func (j *journal) asideDir() string {
	return filepath.Join(filepath.Dir(j.dir), asidePrefix+filepath.Base(j.dir))
}

// setAside moves an entry away and keeps what can be told of it.
func (j *journal) setAside(dir int, name string, data []byte, reason error) error {
	if err := os.Mkdir(j.asideDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory for unreadable consumer files: %w", err)
	}
	to, err := openDir(j.asideDir())
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(to) }()
	as, err := host.SetAside(dir, name, to)
	if err != nil {
		return fmt.Errorf("set unreadable consumer file %s aside: %w", filepath.Join(j.dir, name), err)
	}
	j.keepAside(as, data, reason)
	return nil
}

// readAside reads what an earlier agent of this boot has set aside.
func (j *journal) readAside() error {
	dir, err := openDir(j.asideDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(dir), j.asideDir())
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list unreadable consumer files: %w", err)
	}
	buffer := make([]byte, maxConsumerFile)
	for _, name := range names {
		data, err := host.ReadPrivateAt(dir, name, buffer)
		if err == nil {
			_, err = decodeConsumer(data)
		}
		if err == nil {
			err = errors.New("an earlier agent has set it aside")
		}
		j.keepAside(name, data, err)
	}
	return nil
}

func (j *journal) keepAside(name string, data []byte, reason error) {
	salvaged, certain := salvage(name, data)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asides = append(j.asides, &aside{path: filepath.Join(j.asideDir(), name), reason: reason.Error(), consumer: salvaged, certain: certain})
}

// salvage reads as much as it can from a consumer's file. It reports whether the
// volumes are all that the file named when it was written.
func salvage(name string, data []byte) (consumer, bool) {
	var e envelope
	var c consumer
	complete := json.Unmarshal(data, &e) == nil && json.Unmarshal(e.Record, &c) == nil && c.ID != "" && len(c.Volumes) > 0
	if complete {
		certain := sum(e.Record) == e.Sum && !c.pending()
		c.Volumes = slices.DeleteFunc(c.Volumes, func(v consumedVolume) bool { return !plainName(string(v.Dataset)) })
		return c, certain
	}
	c = consumer{Consumer: api.Consumer{Kind: api.ConsumerUnreadable}}
	c.ID = strings.TrimSuffix(name, ".json")
	if id, err := url.PathUnescape(c.ID); err == nil && id != "" {
		c.ID = id
	}
	return c, false
}

// plainName reports whether a text can name a dataset: it becomes part of paths.
func plainName(s string) bool {
	return s != "" && len(s) <= 255 && s[0] != '.' && !strings.ContainsAny(s, "/\x00")
}

// holdAsides makes a consumer of each entry that was set aside, once it is known
// what is mounted. A file that names what is not mounted may have named something
// else when it was written.
func (a *Agent) holdAsides(mounts map[string]uint64) {
	j := a.volumes.journal
	var mounted []api.DatasetID
	for name := range mounts {
		if !isMemberView(name) && !strings.HasSuffix(name, viewSuffix) {
			mounted = append(mounted, api.DatasetID(name))
		}
	}
	slices.Sort(mounted)
	j.mu.Lock()
	var held []*consumer
	for _, entry := range j.asides {
		held = append(held, j.hold(entry, mounted, a.deps.Now()))
	}
	j.asides = nil
	j.mu.Unlock()
	for _, c := range held {
		a.deps.Log.Error("a consumer file cannot be read and was set aside; what it may stand for stays mounted. "+
			"When its container has ended, remove the file", "file", c.SetAside, "consumer", c.ID, "cause", c.reason, "volumes", len(c.Volumes))
		a.engine.addConsumer(c, time.Time{})
	}
}

// hold puts the consumer of an entry among the others. The caller has the mutex.
func (j *journal) hold(entry *aside, mounted []api.DatasetID, now time.Time) *consumer {
	c := entry.consumer
	c.SetAside, c.reason = entry.path, entry.reason
	if _, taken := j.consumers[c.ID]; taken {
		c.ID = filepath.Base(entry.path)
	}
	if c.Since.IsZero() {
		c.Since = now
	}
	all := !entry.certain && (c.Kind == api.ConsumerUnreadable || c.pending() || slices.ContainsFunc(c.Volumes, func(v consumedVolume) bool {
		return !slices.Contains(mounted, v.Dataset)
	}))
	if !all {
		mounted = nil
		for _, v := range c.Volumes {
			mounted = append(mounted, v.Dataset)
		}
	}
	c.Volumes = make([]consumedVolume, len(mounted))
	for i, id := range mounted {
		c.Volumes[i] = consumedVolume{Dataset: id, Name: string(id), aside: true}
	}
	j.consumers[c.ID] = &c
	return &c
}

// asideEvery is how often it is looked whether files that were set aside have been
// removed.
const asideEvery = 5 * time.Second

// watchAsides releases the consumers whose files were set aside and have been
// removed since, until ctx ends.
func (v *Volumes) watchAsides(ctx context.Context) {
	again := time.NewTicker(asideEvery)
	defer again.Stop()
	for {
		v.releaseRemoved(ctx)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func (v *Volumes) releaseRemoved(ctx context.Context) {
	for _, c := range v.journal.all() {
		if c.SetAside == "" {
			continue
		}
		if err := v.releaseIfRemoved(ctx, c.ID); err != nil && ctx.Err() == nil {
			v.log.Warn("cannot release the consumer of a file that was removed", "consumer", c.ID, "file", c.SetAside, "cause", err)
		}
	}
}

func (v *Volumes) releaseIfRemoved(ctx context.Context, id string) error {
	unlock, err := v.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c := v.journal.get(id)
	if c == nil || c.SetAside == "" {
		return nil // it has asked anew
	}
	if _, err := os.Lstat(c.SetAside); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.end(ctx, id)
}

// countAsides counts the consumers whose files were set aside.
func (j *journal) countAsides() int {
	n := 0
	for _, c := range j.all() {
		if c.SetAside != "" {
			n++
		}
	}
	return n
}

// openDir opens a directory that must be one itself.
func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open directory", Path: path, Err: err}
	}
	return fd, nil
}
