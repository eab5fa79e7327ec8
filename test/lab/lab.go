package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dirPattern names the directories of labs below os.TempDir.
const dirPattern = "flocker-lab-"

// Options say what a lab is made of.
type Options struct {
	// Programs are the project's programs, which every host has in
	// /opt/flocker/bin. Nil for a lab without them.
	Programs *Programs
	// Tools are programs of this machine, by the names that the hosts have
	// them by in /opt/tools.
	Tools map[string]string
	// PrivateMounts leaves the hosts' root mounts private, as without
	// systemd; else they are shared, as systemd makes them.
	PrivateMounts bool
}

// Lab is a set of hosts with one switch and one SAN.
type Lab struct {
	Dir string // everything of the lab is below it
	SAN string // a directory that all hosts see at this same path

	opts   Options
	owner  *os.File // locked as long as the maker of the lab lives
	wiring *wiring

	mu    sync.Mutex
	hosts []*Host
}

// New makes a lab without hosts, after clearing away what labs of processes
// that died have left. Close it.
func New(ctx context.Context, opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab needs root: it makes namespaces, mounts and loop devices")
	}
	// Another lab may be clearing the same things away.
	if err := sweep(os.TempDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("clear away old labs: %w", err)
	}
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return nil, fmt.Errorf("make directory of lab: %w", err)
	}
	l := &Lab{Dir: dir, SAN: filepath.Join(dir, sanDir), opts: opts}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) open(ctx context.Context) error {
	// Programs run as other users must reach the SAN's path.
	if err := os.Chmod(l.Dir, 0o755); err != nil {
		return err
	}
	owner, err := lockOwner(l.Dir)
	if err != nil {
		return err
	}
	l.owner = owner
	if err := os.MkdirAll(l.SAN, 0o700); err != nil {
		return err
	}
	l.wiring, err = newWiring(ctx)
	return err
}

// Hosts returns the hosts in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Close ends all hosts with all that runs on them, detaches loop devices that
// are still there, and removes the lab's directory.
func (l *Lab) Close() error {
	var errs []error
	for _, h := range l.Hosts() {
		errs = append(errs, h.powerOff())
	}
	if l.wiring != nil {
		l.wiring.close()
	}
	errs = append(errs, clearLoops(l.Dir), removeAll(l.Dir))
	if l.owner != nil {
		errs = append(errs, l.owner.Close())
	}
	return errors.Join(errs...)
}

// lockOwner marks a lab's directory as owned by a living process.
func lockOwner(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "owner"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// sweepAge is how old a directory without an owner must be before it counts as
// left behind: a younger one may be about to be locked by its maker.
const sweepAge = time.Minute

// sweep clears away the labs below dir whose owner has died.
func sweep(dir string) error {
	labs, err := filepath.Glob(filepath.Join(dir, dirPattern+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, lab := range labs {
		info, err := os.Stat(filepath.Join(lab, "owner"))
		if err != nil {
			info, err = os.Stat(lab)
		}
		if err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		owner, err := lockOwner(lab)
		if err != nil {
			continue // it lives
		}
		errs = append(errs, clearLoops(lab), removeAll(lab), owner.Close())
	}
	return errors.Join(errs...)
}

// Until calls condition every few milliseconds until it returns nil. When the
// context ends first the condition's last error is returned with what was
// waited for.
func Until(ctx context.Context, what string, condition func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w (%w)", what, err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
