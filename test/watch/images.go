package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// unattached is the place of an image that no machine has attached; all others
// are named after their instance.
const unattached = ""

// place is where an image is, and how often images of its name were moved until then.
type place struct {
	instance string
	moves    uint64
}

// images follows the moves of all images. The kernel tells of them in the order
// in which they happen, since the directories are locked meanwhile.
type images struct {
	inotify *os.File
	dirs    map[int32]string              // by watch: an instance, unattached, or barrierDir
	barrier string                        // a directory of our own; see sync
	left    func(instance, volume string) // is told of every image that leaves a machine
	report  func(format string, args ...any)
	done    chan struct{}
	err     error // valid once done is closed

	mu       sync.Mutex
	at       map[string]map[string]bool // the places of each image
	moves    map[string]uint64
	total    int
	attaches int
	barriers map[string]chan struct{} // closed when all events before have been taken
	next     int
}

const (
	barrierDir = "/barrier" // no instance is called that
	attachedIn = "/attached"
)

// watchImages follows the images of a loopback storage, of which no agent runs
// yet, from now on.
func watchImages(san string, instances []string, left func(instance, volume string), report func(string, ...any)) (*images, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	barrier, err := os.MkdirTemp("", "flocker-watch-")
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	w := &images{
		inotify: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, barrier: barrier, left: left, report: report,
		done: make(chan struct{}), at: map[string]map[string]bool{}, moves: map[string]uint64{}, barriers: map[string]chan struct{}{},
	}
	places := map[string]string{filepath.Join(san, "unattached"): unattached, filepath.Join(san, "attached"): attachedIn, barrier: barrierDir}
	for _, instance := range instances {
		places[filepath.Join(san, "attached", instance)] = instance
	}
	for dir, name := range places {
		if err := w.add(fd, dir, name); err != nil {
			return nil, errors.Join(err, w.inotify.Close(), os.RemoveAll(barrier))
		}
	}
	go func() {
		defer close(w.done)
		w.err = w.follow()
	}()
	return w, nil
}

func (w *images) add(fd int, dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	watch, err := unix.InotifyAddWatch(fd, dir, events)
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	w.dirs[int32(watch)] = name
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		w.put(name, e.Name())
	}
	return nil
}

// follow takes events until the file is closed.
func (w *images) follow() error {
	buffer := make([]byte, 1<<16)
	for {
		n, err := w.inotify.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		if err := w.take(buffer[:n]); err != nil {
			return err
		}
	}
}

func (w *images) take(events []byte) error {
	for len(events) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		length := binary.NativeEndian.Uint32(events[12:])
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length], "\x00"))
		events = events[unix.SizeofInotifyEvent+length:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			return errors.New("more happened than inotify could tell")
		case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
			w.put(w.dirs[watch], name)
		case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
			w.drop(w.dirs[watch], name)
		}
	}
	return nil
}

// put notes that an image has come to a place.
func (w *images) put(dir, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case dir == barrierDir:
		if reached, ok := w.barriers[name]; ok {
			close(reached)
			delete(w.barriers, name)
		}
		return
	case dir == attachedIn:
		for _, known := range w.dirs {
			if known == name {
				return
			}
		}
		w.report("images may be attached to %s, of which the watch was not told", name)
		return
	case uuid.Validate(name) != nil:
		return // not the image of a dataset
	}
	if w.at[name] == nil {
		w.at[name] = map[string]bool{}
	}
	w.at[name][dir] = true
	w.moves[name]++
	w.total++
	if dir != unattached {
		w.attaches++
	}
	if len(w.at[name]) > 1 {
		var in []string
		for instance := range w.at[name] {
			in = append(in, placeName(instance))
		}
		w.report("volume %s has images in two places: %q", name, in)
	}
}

func placeName(instance string) string {
	if instance == unattached {
		return "unattached"
	}
	return "attached/" + instance
}

// drop notes that an image has left a place.
func (w *images) drop(dir, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir == barrierDir || dir == attachedIn || uuid.Validate(name) != nil {
		return
	}
	delete(w.at[name], dir)
	w.moves[name]++
	if dir != unattached {
		w.left(dir, name)
	}
}

// places returns where every image is, as far as events have been taken. One
// that is in two places, which was reported, is left out.
func (w *images) places() map[string]place {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]place{}
	for name, in := range w.at {
		if len(in) != 1 {
			continue
		}
		for instance := range maps.Keys(in) {
			all[name] = place{instance: instance, moves: w.moves[name]}
		}
	}
	return all
}

// sync returns when all that has happened until now has been taken.
func (w *images) sync(ctx context.Context) error {
	w.mu.Lock()
	w.next++
	name := strconv.Itoa(w.next)
	reached := make(chan struct{})
	w.barriers[name] = reached
	w.mu.Unlock()
	path := filepath.Join(w.barrier, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }()
	select {
	case <-reached:
		return nil
	case <-w.done:
		return errors.New("the watch has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the watch and returns how many moves it saw, and how many of them
// were attachments.
func (w *images) close() (moves, attaches int, err error) {
	closeErr := w.inotify.Close()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total, w.attaches, errors.Join(w.err, closeErr, os.RemoveAll(w.barrier))
}
