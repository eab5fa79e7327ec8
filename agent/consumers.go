package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// consumer is a user of volumes on this node, as kept on disk.
type consumer struct {
	api.Consumer
	Volumes []consumedVolume `json:"volumes"`
	reason  string           // why its file was set aside
}

// consumedVolume is one volume of a consumer.
type consumedVolume struct {
	Key      string        `json:"key"`
	Dataset  api.DatasetID `json:"dataset_id"`
	Name     string        `json:"name"`
	ReadOnly bool          `json:"read_only,omitempty"`
	// User and Permissions are for a volume that is formatted for the consumer;
	// Options are what its mount lifts, as in api.VolumeRequest.
	User        string    `json:"user,omitempty"`
	Permissions string    `json:"permissions,omitempty"`
	Options     string    `json:"options,omitempty"`
	Owner       api.Owner `json:"owner,omitempty"` // for which the consumer uses it
	// Member is set where the volume is a member of a set. Dataset is "" until it
	// is known which, and Name is the set's until then.
	Member *consumedMember `json:"member,omitempty"`

	aside bool // the consumer's file was set aside: what is mounted stays as it is
}

// consumedMember is what the agent knows of a volume set for a consumer.
type consumedMember struct {
	Set      api.DatasetSpec `json:"set"`
	Each     int             `json:"each"`
	Instance string          `json:"instance,omitempty"`
	// View is the mount point at which the consumer, and no other one, sees the
	// member: it is there before it is known which one that is.
	View string `json:"view"`
}

// pending reports whether it has yet to be found out which dataset it is.
func (v consumedVolume) pending() bool { return v.Dataset == "" }

// asked is the name by which the consumer asked for the volume.
func (v consumedVolume) asked() string {
	if v.Member != nil {
		return v.Member.Set.Name
	}
	return v.Name
}

// journal is the agent's memory of its consumers: a file each, written before
// anything is done for the consumer and removed when it has ended.
//
// The files lie in a directory named after the kernel's boot id. No container
// outlives its kernel, so what an earlier boot left behind is dropped unread,
// and nothing has to be flushed: a kill -9 loses nothing that was written, and
// a power cut ends every consumer.
type journal struct {
	dir string

	mu        sync.Mutex
	consumers map[string]*consumer // values are never changed, only replaced
	asides    []*aside             // until the first survey
}

// openJournal reads the consumers of this boot below dir and drops those of
// earlier ones. What cannot be trusted is set aside.
func openJournal(dir, bootID string) (*journal, error) {
	j := &journal{dir: filepath.Join(dir, bootID), consumers: map[string]*consumer{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make consumer directory: %w", err)
	}
	if err := host.CheckPrivateDir(dir); err != nil {
		return nil, fmt.Errorf("consumer directory: %w", err)
	}
	if err := j.readAside(); err != nil {
		return nil, err
	}
	if err := j.makeDir(dir, bootID); err != nil {
		return nil, err
	}
	if err := j.read(); err != nil {
		return nil, err
	}
	return j, dropOtherBoots(dir, bootID, asidePrefix+bootID)
}

// makeDir makes the directory of this boot. What is there in its place is set
// aside, and with it all consumers.
func (j *journal) makeDir(dir, bootID string) error {
	err := os.Mkdir(j.dir, 0o700)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make consumer directory: %w", err)
	}
	reason := host.CheckPrivateDir(j.dir)
	if reason == nil {
		return nil
	}
	parent, err := openDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(parent) }()
	if err := j.setAside(parent, bootID, nil, reason); err != nil {
		return err
	}
	return os.Mkdir(j.dir, 0o700)
}

// read reads all consumers. An agent restarts beside a thousand of them as
// beside one, so it spends no more than four system calls on each.
func (j *journal) read() error {
	fd, err := openDir(j.dir)
	if err != nil {
		return fmt.Errorf("list consumers: %w", err)
	}
	dir := os.NewFile(uintptr(fd), j.dir)
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list consumers: %w", err)
	}
	var group errgroup.Group
	for part := range slices.Chunk(names, len(names)/runtime.GOMAXPROCS(0)+1) {
		group.Go(func() error { return j.readFiles(fd, part) })
	}
	return group.Wait()
}

// readFiles reads some of the journal's files.
func (j *journal) readFiles(dir int, names []string) error {
	buffer := make([]byte, maxConsumerFile)
	for _, name := range names {
		if strings.HasPrefix(name, temporary) {
			if err := os.RemoveAll(filepath.Join(j.dir, name)); err != nil { // of a write that a crash cut short: never took effect
				return fmt.Errorf("remove unfinished consumer file: %w", err)
			}
			continue
		}
		data, err := host.ReadPrivateAt(dir, name, buffer)
		var c *consumer
		if err == nil {
			c, err = decodeConsumer(data)
		}
		if err == nil {
			if should := filepath.Base(j.path(c.ID)); name != should {
				err = fmt.Errorf("it has the consumer %q, whose file is %s", c.ID, should)
			}
		}
		if err != nil {
			if err := j.setAside(dir, name, data, err); err != nil {
				return err
			}
			continue
		}
		j.mu.Lock()
		j.consumers[c.ID] = c
		j.mu.Unlock()
	}
	return nil
}

// maxConsumerFile bounds a consumer's file in bytes. A container with a hundred
// volumes needs a tenth of it.
const maxConsumerFile = 256 << 10

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
			return fmt.Errorf("drop consumers of an earlier boot: %w", err)
		}
	}
	return nil
}

// temporary begins the names of files that are being written.
const temporary = ".new-"

// envelope guards a consumer's record against bits that changed on disk.
type envelope struct {
	Version int             `json:"version,omitempty"` // 0 is all that this agent knows
	Sum     string          `json:"crc32"`             // IEEE, of Record, hexadecimal
	Record  json.RawMessage `json:"record"`
}

func sum(record []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(record)) }

func decodeConsumer(data []byte) (*consumer, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	if got := sum(e.Record); got != e.Sum {
		return nil, fmt.Errorf("checksum is %s, should be %s", got, e.Sum)
	}
	if e.Version != 0 {
		return nil, fmt.Errorf("it is of version %d, which a newer agent has written", e.Version)
	}
	var c consumer
	if err := json.Unmarshal(e.Record, &c); err != nil {
		return nil, err
	}
	if c.ID == "" {
		return nil, errors.New("it names no consumer")
	}
	for _, v := range c.Volumes {
		if !plainName(string(v.Dataset)) && (v.Member == nil || !v.pending()) {
			return nil, fmt.Errorf("it names the dataset %q, which cannot be", v.Dataset)
		}
		if view := v.view(); (view != "" || v.Member != nil) && !plainName(view) {
			return nil, fmt.Errorf("it names the mount point %q, which cannot be", view)
		}
	}
	return &c, nil
}

func encodeConsumer(c *consumer) ([]byte, error) {
	record, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Sum: sum(record), Record: record})
}

// path returns the file of a consumer. Escaping keeps names flat and below
// the file system's limit: ids come from outside.
func (j *journal) path(id string) string {
	name := url.PathEscape(id)
	if len(name) > 200 {
		name = fmt.Sprintf("%s-%s", name[:180], sum([]byte(id)))
	}
	return filepath.Join(j.dir, name+".json")
}

// put records a consumer before anything is done for it.
func (j *journal) put(c *consumer) error {
	data, err := encodeConsumer(c)
	if err != nil {
		return fmt.Errorf("encode consumer %s: %w", c.ID, err)
	}
	if len(data) >= maxConsumerFile {
		return api.Errorf(api.CodeInvalid, "consumer %s asks for too many volumes: its record has %d bytes, %d are too many",
			c.ID, len(data), maxConsumerFile)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	path := j.path(c.ID)
	tmp := filepath.Join(j.dir, temporary+filepath.Base(path))
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("write consumer %s: %w", c.ID, err)
	}
	fault.Point("agent.consumer-written")
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write consumer %s: %w", c.ID, err)
	}
	if old := j.consumers[c.ID]; old != nil && old.SetAside != "" {
		if err := os.RemoveAll(old.SetAside); err != nil {
			return fmt.Errorf("remove consumer %s: %w", c.ID, err)
		}
	}
	j.consumers[c.ID] = c
	fault.Point("agent.consumer-recorded")
	return nil
}

// remove forgets a consumer and returns what it was, nil if there was none.
func (j *journal) remove(id string) (*consumer, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, ok := j.consumers[id]
	if !ok {
		return nil, nil
	}
	remove, path := os.Remove, j.path(id)
	if c.SetAside != "" {
		remove, path = os.RemoveAll, c.SetAside
	}
	if err := remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove consumer %s: %w", id, err)
	}
	delete(j.consumers, id)
	fault.Point("agent.consumer-removed")
	return c, nil
}

// get returns a consumer, nil if there is none.
func (j *journal) get(id string) *consumer {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.consumers[id]
}

// using returns the volume of each consumer that uses a dataset, by the consumer's id.
func (j *journal) using(id api.DatasetID) map[string]consumedVolume {
	j.mu.Lock()
	defer j.mu.Unlock()
	users := map[string]consumedVolume{}
	for consumer, c := range j.consumers {
		for _, v := range c.Volumes {
			if v.Dataset == id {
				users[consumer] = v
			}
		}
	}
	return users
}

// usesMember reports whether a container, or one that is in it, has a member of a set,
// or waits for one. Which one that is may be left open.
func (j *journal) usesMember(root, set string, id api.DatasetID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for consumer, c := range j.consumers {
		if api.RootConsumer(consumer) != root {
			continue
		}
		for _, v := range c.Volumes {
			if v.Member != nil && v.Member.Set.Name == set && (id == "" || v.pending() || v.Dataset == id) {
				return true
			}
		}
	}
	return false
}

// hasView reports whether a consumer sees a volume at a view, or will.
func (j *journal) hasView(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.consumers {
		for _, v := range c.Volumes {
			if v.view() == name {
				return true
			}
		}
	}
	return false
}

// all returns the consumers in the order of their ids.
func (j *journal) all() []*consumer {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.SortedFunc(maps.Values(j.consumers), func(a, b *consumer) int { return strings.Compare(a.ID, b.ID) })
}
