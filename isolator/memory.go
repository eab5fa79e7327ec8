package isolator

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// memory remembers which frameworks have asked for volumes by labels that only
// Mesos knows, as empty files in a directory. It decides what happens to their
// task groups while nobody can be asked for labels.
type memory struct{ dir string }

// memoryDir is where the memory of a machine with an installed agent is. It
// outlives a reboot, after which Mesos may be there before the agent.
const memoryDir = "/var/lib/flocker/isolator"

// newMemory returns the memory that goes with an agent's socket.
func newMemory(socket string) memory {
	if socket == api.DefaultSocket {
		return memory{memoryDir}
	}
	return memory{filepath.Join(filepath.Dir(socket), "isolator")}
}

// knows reports whether the framework was remembered.
func (m memory) knows(framework string) bool {
	path, ok := m.path(framework)
	if !ok {
		return false
	}
	_, err := os.Lstat(path)
	return err == nil
}

// remember notes the framework.
func (m memory) remember(framework string) error {
	path, ok := m.path(framework)
	if !ok || m.knows(framework) {
		return nil
	}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o644)
}

func (m memory) path(framework string) (string, bool) {
	if framework == "" || len(framework) > 200 || strings.ContainsAny(framework, "/\x00") {
		return "", false
	}
	return filepath.Join(m.dir, "framework-"+framework), true
}
