// Package logmemory keeps on this machine's disk which log of records was seen
// last, so that a replica or an agent refuses an empty, foreign or older one.
package logmemory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/flocker-mesos/flocker/api"
)

// Read returns what a file remembers, nothing where there is no such file.
func Read(path string) (api.LogIdentity, error) {
	var seen api.LogIdentity
	text, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seen, nil
	case err == nil:
		if err = json.Unmarshal(text, &seen); err == nil && seen.ID == "" {
			err = errors.New("it has no id")
		}
	}
	if err != nil {
		return api.LogIdentity{}, fmt.Errorf("read which log was seen last: %s: %w", path, err)
	}
	return seen, nil
}

// maxBytes bounds the file.
const maxBytes = 64 << 10

// read reads a file that is none to wait for.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is no regular file (%s)", info.Mode())
	case info.Size() > maxBytes:
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxBytes)
	}
	return io.ReadAll(io.LimitReader(f, maxBytes))
}

// Write replaces what a file remembers. After a crash at any instruction the
// file is the old one or the new one.
func Write(path string, seen api.LogIdentity) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write which log was seen last: %w", err)
		}
	}()
	text, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// The name is unique: several replicas on one machine share the file.
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = giveTo(f, dir)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return sync(dir)
}

// giveTo gives a file to the owner of its directory: what root writes with a
// command is read by a service that runs as another user.
func giveTo(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && st.Uid != 0 {
		return f.Chown(int(st.Uid), int(st.Gid))
	}
	return nil
}

// Forget removes a file, which need not exist.
func Forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget which log was seen last: %w", err)
	}
	return sync(filepath.Dir(path))
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
