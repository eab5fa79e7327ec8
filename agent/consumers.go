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
)

// consumer is a user of volumes on this node, as kept on disk.
type consumer struct {
	api.Consumer
	Volumes []consumedVolume `json:"volumes"`
}

// consumedVolume is one volume of a consumer.
type consumedVolume struct {
	Key      string        `json:"key"`
	Dataset  api.DatasetID `json:"dataset_id"`
	Name     string        `json:"name"`
	ReadOnly bool          `json:"read_only,omitempty"`
	// Member is set where the volume is a member of a set. Dataset is "" until it
	// is known which, and Name is the set's until then.
	Member *consumedMember `json:"member,omitempty"`
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
}

// JournalError says that a file of the journal cannot be trusted. The agent
// does not start then: it could release a volume that is in use.
type JournalError struct {
	Path string
	Err  error
}

func (e *JournalError) Error() string {
	return fmt.Sprintf("consumer file %s cannot be read: %v. It stands for a container that may be running with volumes of "+
		"this node. If that container has ended, remove the file and start the agent again; nothing has been changed",
		e.Path, e.Err)
}

func (e *JournalError) Unwrap() error { return e.Err }

// openJournal reads the consumers of this boot below dir and drops those of
// earlier ones. Errors: *JournalError for a file that is truncated or garbled.
func openJournal(dir, bootID string) (*journal, error) {
	j := &journal{dir: filepath.Join(dir, bootID), consumers: map[string]*consumer{}}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make consumer directory: %w", err)
	}
	if err := j.read(); err != nil {
		return nil, err
	}
	return j, dropOtherBoots(dir, bootID)
}

// read reads all consumers. An agent restarts beside a thousand of them as
// beside one, so it spends no more than three system calls on each.
func (j *journal) read() error {
	dir, err := os.Open(j.dir)
	if err != nil {
		return fmt.Errorf("list consumers: %w", err)
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list consumers: %w", err)
	}
	var group errgroup.Group
	for part := range slices.Chunk(names, len(names)/runtime.GOMAXPROCS(0)+1) {
		group.Go(func() error { return j.readFiles(int(dir.Fd()), part) })
	}
	return group.Wait()
}

// readFiles reads some of the journal's files.
func (j *journal) readFiles(dir int, names []string) error {
	buffer := make([]byte, maxConsumerFile)
	for _, name := range names {
		path := filepath.Join(j.dir, name)
		if strings.HasPrefix(name, temporary) {
			if err := os.Remove(path); err != nil { // of a write that a crash cut short: never took effect
				return fmt.Errorf("remove unfinished consumer file: %w", err)
			}
			continue
		}
		data, err := readAt(dir, name, buffer)
		if err != nil {
			return &JournalError{Path: path, Err: err}
		}
		c, err := decodeConsumer(data)
		if err != nil {
			return &JournalError{Path: path, Err: err}
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

// readAt reads a small file of a directory into buffer.
func readAt(dir int, name string, buffer []byte) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Read(fd, buffer)
	if err == nil && n == len(buffer) {
		err = fmt.Errorf("it is longer than %d bytes", len(buffer)-1)
	}
	return buffer[:max(n, 0)], err
}

func dropOtherBoots(dir, bootID string) error {
	boots, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list boots: %w", err)
	}
	for _, b := range boots {
		if b.Name() == bootID {
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
	Sum    string          `json:"crc32"` // IEEE, of Record, hexadecimal
	Record json.RawMessage `json:"record"`
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
	var c consumer
	if err := json.Unmarshal(e.Record, &c); err != nil {
		return nil, err
	}
	if c.ID == "" {
		return nil, errors.New("it names no consumer")
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
	if err := os.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// hasView reports whether a consumer sees a member of a set at a mount point, or
// will.
func (j *journal) hasView(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.consumers {
		for _, v := range c.Volumes {
			if v.Member != nil && v.Member.View == name {
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
