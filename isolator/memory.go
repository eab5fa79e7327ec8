package isolator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// memory remembers which frameworks have asked for volumes by labels that only
// Mesos knows, as empty files in a directory. It decides what happens to their
// task groups while nobody can be asked for labels.
type memory struct{ dir string }

// newMemory returns the memory that goes with an agent's socket.
func newMemory(socket string) memory { return memory{api.MemoryDir(socket)} }

// agent returns what the agent has noted about itself, or the defaults of an agent that
// has noted nothing. The agent may be away.
func (m memory) agent() api.AgentFacts {
	facts := api.AgentFacts{}
	data, err := os.ReadFile(filepath.Join(m.dir, api.AgentFactsFile))
	if err != nil || json.Unmarshal(data, &facts) != nil {
		facts = api.AgentFacts{Labels: true}
	}
	if facts.WaitLimit <= 0 {
		facts.WaitLimit = defaultWaitLimit
	}
	return facts
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
