package isolator

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Waiting is how a container waits for its volumes.
type Waiting struct {
	Program  string // absolute path of flocker-isolator on the host
	Socket   string
	Consumer string
	Limit    time.Duration
}

// Plan returns how to launch a container whose volumes go to placements and
// are, or will be, at the mounts that the agent answered. It is pure.
func Plan(placements []Placement, mounts []api.Mount, w Waiting) (*LaunchInfo, error) {
	byKey := make(map[string]api.Mount, len(mounts))
	for _, m := range mounts {
		byKey[m.Key] = m
	}
	info := new(LaunchInfo)
	ready := true
	for _, p := range placements {
		m, ok := byKey[p.Key]
		if !ok || !filepath.IsAbs(m.Source) {
			return nil, fmt.Errorf("the flocker agent answered without a mount for volume %s", p.Name)
		}
		info.Mounts = append(info.Mounts, ContainerMount{Source: m.Source, Target: p.Target, Flags: bindFlags})
		ready = ready && m.Ready
	}
	if !ready {
		info.PreExec = []PreExec{w.command(placements)}
	}
	return info, nil
}

func (w Waiting) command(placements []Placement) PreExec {
	arguments := []string{programName, "wait", "--socket", w.Socket, "--consumer", w.Consumer, "--limit", w.Limit.String()}
	for _, p := range placements {
		arguments = append(arguments, p.Key+"="+p.Target)
	}
	return PreExec{Value: w.Program, Arguments: arguments}
}
