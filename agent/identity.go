package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// lockState takes the state directory for this process alone. The lock goes
// with the process, however it ends.
func lockState(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another agent runs with this state directory (it holds %s)", path)
		}
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	return f, nil
}

// agentIdentity returns the identity of the state directory, made at first
// use. By it the control service tells an agent that was restarted from a
// second one with the same node certificate.
func agentIdentity(path string, log *slog.Logger) (string, error) {
	data, err := host.ReadPrivate(path, maxIdentity)
	if err == nil {
		id, err := uuid.Parse(strings.TrimSpace(string(data)))
		if err == nil {
			return id.String(), nil
		}
		return anew(path, err, log)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return anew(path, err, log)
	}
	return newIdentity(path)
}

// anew replaces an identity that cannot be read. The control service takes this
// agent for another one until the stream of the last has ended.
func anew(path string, cause error, log *slog.Logger) (string, error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(dir) }()
	as, err := host.SetAside(dir, filepath.Base(path), dir)
	if err != nil {
		return "", fmt.Errorf("set unreadable identity of this agent aside: %w", err)
	}
	log.Error("the identity of this agent cannot be read and was set aside: it gets a new one, and is refused until the "+
		"control service has missed the last one for three heartbeats", "file", filepath.Join(filepath.Dir(path), as), "cause", cause)
	return newIdentity(path)
}

// maxIdentity bounds the file in bytes.
const maxIdentity = 1024

func newIdentity(path string) (string, error) {
	id := uuid.NewString()
	if err := host.ReplaceFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write identity of this agent: %w", err)
	}
	return id, nil
}
