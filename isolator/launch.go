package isolator

import (
	"encoding/json"
	"fmt"
	"syscall"
)

// LaunchInfo is what prepare answers: the parts of Mesos'
// ContainerLaunchInfo that are safe to use. It never says rootfs or user, which
// Mesos refuses, nor command, which aborts the whole Mesos agent. Mesos ignores
// fields that it does not know, and takes enumerations and flags only as
// numbers.
type LaunchInfo struct {
	Namespaces []int            `json:"clone_namespaces,omitempty"`
	Mounts     []ContainerMount `json:"mounts,omitempty"`
	PreExec    []PreExec        `json:"pre_exec_commands,omitempty"`
}

// ContainerMount is a mount that Mesos makes in the container's mount
// namespace. The target is a path of the host's.
type ContainerMount struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Type   string `json:"type"`
	Flags  uint32 `json:"flags"` // of mount(2)
}

// PreExec is a command that runs as root in the container's mount namespace,
// after the mounts and before the task. When it fails the container ends.
type PreExec struct {
	Shell     bool     `json:"shell"`
	Value     string   `json:"value"`
	Arguments []string `json:"arguments"` // the first is the program's name
}

// launch returns the launch info that starts a stored program, as the only one
// that root runs in the container. See StoreProgram for the mount.
func launch(program string, arguments ...string) *LaunchInfo {
	return &LaunchInfo{
		Namespaces: []int{syscall.CLONE_NEWNS},
		Mounts:     []ContainerMount{{Source: deviceFS, Target: launchPath, Type: deviceFS, Flags: syscall.MS_NOSUID}},
		PreExec:    []PreExec{{Value: program, Arguments: append([]string{programName}, arguments...)}},
	}
}

// Encode returns the launch info as Mesos reads it, nothing at all for none.
func (l *LaunchInfo) Encode() ([]byte, error) {
	if l == nil || len(l.Mounts) == 0 && len(l.PreExec) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write launch info: %w", err)
	}
	return data, nil
}
