package isolator

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Waiting is how a container waits for its volumes.
type Waiting struct {
	Program   string // path of the stored program
	Socket    string
	Consumer  string
	Limit     time.Duration
	Namespace uint64 // the Mesos agent's mount namespace
}

// Plan returns how to launch a container whose volumes go to targets and are,
// or will be, what the agent answered. It is pure.
func Plan(space Space, targets []Target, mounts []api.Mount, w Waiting) (*LaunchInfo, error) {
	byKey := make(map[string]api.Mount, len(mounts))
	for _, m := range mounts {
		byKey[m.Key] = m
	}
	for _, t := range targets {
		if _, ok := byKey[t.Key]; !ok {
			return nil, fmt.Errorf("the flocker agent answered without a mount for volume %s", t.Key)
		}
	}
	return w.launch(space, targets), nil
}

// PlanLater is Plan for a container whose launch process asks the agent.
func PlanLater(space Space, targets []Target, later *Later, w Waiting) (*LaunchInfo, error) {
	text, err := later.encode()
	if err != nil {
		return nil, err
	}
	return w.launch(space, targets, "--later", text), nil
}

// launch returns the launch info that mounts the targets, with further flags.
func (w Waiting) launch(space Space, targets []Target, flags ...string) *LaunchInfo {
	arguments := []string{"mount", "--socket", w.Socket, "--consumer", w.Consumer, "--limit", w.Limit.String(),
		"--outside", strconv.FormatUint(w.Namespace, 10)}
	if space.Sandbox.Path != "" {
		arguments = append(arguments, "--sandbox", space.Sandbox.String())
	}
	if space.Rootfs.Path != "" {
		arguments = append(arguments, "--rootfs", space.Rootfs.String(), "--view", space.View)
	}
	arguments = append(arguments, flags...)
	for _, t := range targets {
		arguments = append(arguments, t.String())
	}
	return launch(w.Program, arguments...)
}

const (
	readWrite = "rw:"
	readOnly  = "ro:"
)

// String returns "rw:KEY=PATH" or "ro:KEY=PATH", which ParseTarget reads.
func (t Target) String() string {
	if t.ReadOnly {
		return readOnly + t.Key + "=" + t.Path
	}
	return readWrite + t.Key + "=" + t.Path
}

// ParseTarget reads what String has written.
func ParseTarget(text string) (Target, error) {
	rest, ro := strings.CutPrefix(text, readOnly)
	rest, rw := strings.CutPrefix(rest, readWrite)
	key, path, ok := strings.Cut(rest, "=")
	if ro == rw || !ok || key == "" || path == "" {
		return Target{}, fmt.Errorf("read target %q: want ro:KEY=PATH or rw:KEY=PATH", text)
	}
	return Target{Key: key, Path: path, ReadOnly: ro}, nil
}
