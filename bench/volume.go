package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const gigabyte = 1 << 30

// benchVolume measures one volume's way up and down.
func benchVolume(s settings) ([]result, error) {
	m, err := newMachine(s.dir, 8)
	if err != nil {
		return nil, err
	}
	var up, down, rawUps, rawDowns, shellUps, shellDowns series
	for i := range s.rounds {
		name := fmt.Sprintf("v%d", i)
		if err := timed(&up, func() error { return m.up(name, gigabyte) }); err != nil {
			return nil, err
		}
		if err := use(filepath.Join(m.config.MountRoot, string(m.control.Dataset(name).ID))); err != nil {
			return nil, err
		}
		if err := timed(&down, func() error { return m.down(name) }); err != nil {
			return nil, err
		}
		if err := m.remove(name); err != nil {
			return nil, err
		}
		if err := rawRound(s.dir, name, &rawUps, &rawDowns); err != nil {
			return nil, err
		}
		if err := shellRound(s.dir, "shell-"+name, &shellUps, &shellDowns); err != nil {
			return nil, err
		}
	}
	return []result{
		ratio("P1", "1 GiB ext4: agent up / system calls", 1.05, up, rawUps),
		ratio("", "1 GiB ext4: agent up / shell", 0, up, shellUps),
		ratio("P4", "agent down / system calls", 1.2, down, rawDowns),
		ratio("P4", "agent down / shell", 0.2, down, shellDowns),
	}, m.close()
}

func rawRound(dir, name string, ups, downs *series) error {
	var v *rawVolume
	if err := timed(ups, func() (err error) { v, err = rawUp(dir, name); return err }); err != nil {
		return err
	}
	if err := use(v.target); err != nil {
		return err
	}
	if err := timed(downs, func() error { return v.down() }); err != nil {
		return err
	}
	return v.remove()
}

func shellRound(dir, name string, ups, downs *series) error {
	var v *shellVolume
	if err := timed(ups, func() (err error) { v, err = shellUp(dir, name, gigabyte); return err }); err != nil {
		return err
	}
	if err := use(v.target); err != nil {
		return err
	}
	if err := timed(downs, func() error { return v.down() }); err != nil {
		return err
	}
	return v.remove()
}

// use writes to a file system, as containers do, and flushes it: a way down
// costs more after that, on the floor as well, and nobody unmounts what was
// never used.
func use(mountpoint string) error {
	if err := os.WriteFile(filepath.Join(mountpoint, "row"), []byte("data"), 0o600); err != nil {
		return err
	}
	dir, err := os.Open(mountpoint)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return unix.Syncfs(int(dir.Fd()))
}

// timed adds the time of one successful run of f to s.
func timed(s *series, f func() error) error {
	begin := time.Now()
	err := f()
	*s = append(*s, time.Since(begin))
	return err
}
