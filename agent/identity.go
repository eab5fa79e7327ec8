package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// lockState takes the state directory for this process alone. The lock goes
// with the process, however it ends.
func lockState(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
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
func agentIdentity(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		id, err := uuid.Parse(strings.TrimSpace(string(data)))
		if err != nil {
			return "", fmt.Errorf("read identity of this agent: %s: %w; remove the file to get a new one", path, err)
		}
		return id.String(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read identity of this agent: %w", err)
	}
	id := uuid.NewString()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write identity of this agent: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("write identity of this agent: %w", err)
	}
	return id, nil
}
