package isolator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// memory remembers which frameworks have asked for volumes by labels that only
// Mesos knows, as empty files in a directory. It decides what happens to their
// task groups while nobody can be asked for labels.
type memory struct{ dir string }

// newMemory returns the memory that goes with an agent's socket.
func newMemory(socket string) memory { return memory{api.MemoryDir(socket)} }

// readAgentFacts returns what the agent of a socket has noted about itself, nil where
// none has. It may be away.
func readAgentFacts(socket string) *api.AgentFacts {
	data, err := os.ReadFile(filepath.Join(api.MemoryDir(socket), api.AgentFactsFile))
	facts := new(api.AgentFacts)
	if err != nil || json.Unmarshal(data, facts) != nil {
		return nil
	}
	return facts
}

// knownWaitLimit returns how long containers wait while the agent cannot say it.
func knownWaitLimit(socket string) time.Duration {
	if facts := readAgentFacts(socket); facts != nil && facts.WaitLimit > 0 {
		return facts.WaitLimit
	}
	return defaultWaitLimit
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
