package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// stampFile is in every volume that consumers use.
const stampFile = "stamp"

// ledger knows what was written into a volume, wherever that was.
type ledger struct {
	name string

	mu        sync.Mutex
	written   int // the last number of which it is certain that it is on disk
	attempted int // the last one that may be
	id        api.DatasetID
}

// dataset returns which dataset it is, "" before its first use.
func (l *ledger) dataset() api.DatasetID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// errTakenAway says that what a consumer uses is not mounted any more.
var errTakenAway = errors.New("the volume is not mounted")

// lostError says that a volume does not have what was written into it.
type lostError struct{ text string }

func (e *lostError) Error() string { return e.text }

// write checks that a volume has what was written last, and writes the next number.
func (l *ledger) write(n *cluster.Node, m api.Mount) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = m.DatasetID
	next := l.attempted + 1
	err := n.Do(func() error {
		if err := l.verify(m); err != nil {
			return err
		}
		l.attempted = next
		return putStamp(m.Source, next)
	})
	if err == nil {
		l.written = next
	}
	return err
}

// check checks that a volume has what was written last.
func (l *ledger) check(n *cluster.Node, m api.Mount) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n.Do(func() error { return l.verify(m) })
}

func (l *ledger) verify(m api.Mount) error {
	var st unix.Stat_t
	if err := unix.Stat(m.Source, &st); err != nil {
		return fmt.Errorf("%w: %w", errTakenAway, err)
	}
	if st.Dev != m.Device {
		return fmt.Errorf("%w: %s is of device %d, not %d", errTakenAway, m.Source, st.Dev, m.Device)
	}
	got := 0
	text, err := os.ReadFile(filepath.Join(m.Source, stampFile))
	if err == nil {
		got, err = strconv.Atoi(string(text))
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read stamp: %w", err)
	}
	return l.compare(got)
}

// compare compares what is in a volume with what was written.
func (l *ledger) compare(got int) error {
	if got < l.written || got > l.attempted {
		return &lostError{fmt.Sprintf("volume %s has %d, and %d to %d was written last", l.name, got, l.written, l.attempted)}
	}
	return nil
}

// putStamp replaces the stamp and has it on disk.
func putStamp(dir string, n int) error {
	path := filepath.Join(dir, stampFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
