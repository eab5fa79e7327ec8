// Package loopback is the backend that needs no storage system: a volume is a
// sparse file, attached by a loop device. The files are in a directory of this
// machine, or of a file system that several machines share and whose flock(2)
// works between them:
//
//	ROOT/.flocker-loopback                  marks the storage, with its id
//	ROOT/.flocker-zone                      the zone that the storage is in, if it is in one
//	ROOT/unattached/<volume>                attached nowhere
//	ROOT/attached/<instance>/<volume>       attached to an instance
//
// A volume's id is its dataset's. To be attached is to lie in the instance's
// directory; that is what others see. What keeps two machines apart is the
// lock: an image is only ever attached by who holds its flock, and the loop
// device keeps the locked open file description for as long as it lives, also
// when the agent dies. So whoever gets the lock knows that no kernel can write
// to the image any more, and only then is an image moved out of an instance's
// directory. There is no way to cut off a living kernel: a forced detach waits
// for the lock like any other, and fails with ErrInUse while it is held.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// Name is the backend's name in agent.yml.
const Name = "loopback"

// Config is what agent.yml says.
type Config struct {
	RootPath   string // made where it does not exist
	InstanceID string // what to call this machine: unique among all that share the root
	// AllocationUnit is what sizes are rounded up to, in bytes: a multiple of
	// 512; 0 for 4096.
	AllocationUnit int64
	// Zone is the one whose machines alone reach the root, such as a rack with a file
	// server of its own; "" for the one that another machine has given the root, or
	// for none.
	Zone string
	// StorageID is what StorageID returned in an earlier run, "" in the first.
	// It keeps an empty directory, from which a storage was unmounted before
	// the agent started, from being taken for a new storage.
	StorageID string
}

// Backend implements backend.Backend.
type Backend struct {
	config Config
	root   *root
	locks  keyedMutex // by volume: one operation of this process at a time

	scanning sync.Mutex  // held while the loop devices are scanned
	scanned  atomic.Bool // loops has what was attached before the start

	maxSize int64 // bytes of the largest image

	mu    sync.Mutex
	loops map[string]host.Loop // of the volumes attached here, as last seen
}

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Surveyor = (*Backend)(nil)
	_ backend.Witness  = (*Backend)(nil)
	_ backend.Guard    = (*Backend)(nil)
	_ backend.Grower   = (*Backend)(nil)
	_ backend.Zoner    = (*Backend)(nil)
	_ backend.Overseer = (*Backend)(nil)
)

// New opens the storage at a root. What is attached to this machine is found
// out, with one pass over the loop devices, when it is first asked for.
func New(config Config) (*Backend, error) {
	if config.AllocationUnit == 0 {
		config.AllocationUnit = 4096
	}
	if config.AllocationUnit < 0 || config.AllocationUnit%sectorSize != 0 {
		return nil, fmt.Errorf("loopback: allocation unit %d: must be a multiple of %d", config.AllocationUnit, sectorSize)
	}
	if !isName(config.InstanceID) {
		return nil, fmt.Errorf("loopback: instance id %q: must be a plain file name", config.InstanceID)
	}
	path, err := filepath.Abs(config.RootPath)
	if err != nil || config.RootPath == "" {
		return nil, fmt.Errorf("loopback: root path %q: must be a directory", config.RootPath)
	}
	root, err := openRoot(path, config.InstanceID, config.StorageID)
	if err != nil {
		return nil, fmt.Errorf("loopback: open root %s: %w", path, translate(err))
	}
	if err := root.openZone(config.Zone); err != nil {
		return nil, fmt.Errorf("loopback: open root %s: %w", path, translate(err))
	}
	maxSize := root.largest() / config.AllocationUnit * config.AllocationUnit
	return &Backend{config: config, root: root, maxSize: maxSize, loops: map[string]host.Loop{}}, nil
}

// StorageID returns the id of the storage, for the Config of the next run.
func (b *Backend) StorageID() string { return b.root.id }

// Properties returns the constant properties.
func (b *Backend) Properties() backend.Properties {
	return backend.Properties{Name: Name, AllocationUnit: b.config.AllocationUnit, MaxSize: b.maxSize, Thin: true}
}

// Zone returns the zone that the storage is in.
func (b *Backend) Zone(context.Context) (string, error) { return b.root.zone, nil }

// InstanceID returns what Config says.
func (b *Backend) InstanceID(context.Context) (string, error) { return b.config.InstanceID, nil }

// sectorSize is the kernel's, and what a loop device's size is a multiple of.
const sectorSize = 512

// begin starts an operation on a volume: it looks whether the storage is still
// there and keeps other operations of this process on the volume out. The
// caller calls end.
func (b *Backend) begin(ctx context.Context, volumeID string) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	end = b.locks.lock(volumeID)
	if err := b.checkRoot(); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// checkRoot looks whether the storage is still the one from the start.
func (b *Backend) checkRoot() error {
	returned, err := b.root.check()
	if err == nil && returned {
		// Its files have other device numbers now.
		_, err = b.rediscover()
	}
	return err
}

// isName reports whether an id can be a file's name in the root's directories.
func isName(id string) bool {
	return id != "" && !strings.HasPrefix(id, ".") && !strings.ContainsAny(id, "/\x00") && len(id) <= 255
}

// keyedMutex is a mutex for each key that is in use.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]*heldMutex
}

type heldMutex struct {
	sync.Mutex
	users int
}

func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*heldMutex{}
	}
	m := k.held[key]
	if m == nil {
		m = &heldMutex{}
		k.held[key] = m
	}
	m.users++
	k.mu.Unlock()
	m.Lock()
	return func() {
		m.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if m.users--; m.users == 0 {
			delete(k.held, key)
		}
	}
}

// wrapVolume names the operation and the volume in an error.
func wrapVolume(verb, volumeID string, err error) error {
	if err == nil {
		return nil
	}
	if elsewhere, ok := errors.AsType[*backend.AttachedElsewhereError](err); ok {
		return elsewhere // says it all
	}
	return fmt.Errorf("%s volume %s: %w", verb, volumeID, translate(err))
}
