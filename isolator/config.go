package isolator

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Input is what Mesos' command isolator passes to prepare, isolate and
// cleanup: the parts of mesos.slave.ContainerConfig that matter here. Unknown
// fields are ignored, as Mesos' own versions differ in them.
type Input struct {
	Config      Config      `json:"container_config"`
	ContainerID ContainerID `json:"container_id"`
}

// ContainerID identifies a container. Containers can be nested.
type ContainerID struct {
	Value  string       `json:"value"`
	Parent *ContainerID `json:"parent"`
}

// Config is how a container will be launched.
type Config struct {
	Class     string    `json:"container_class"` // "", DEFAULT or DEBUG
	Directory string    `json:"directory"`       // the sandbox
	Rootfs    string    `json:"rootfs"`          // of the image, "" where there is none
	User      string    `json:"user"`            // that the container runs as, "" for the agent's
	Command   Command   `json:"command_info"`
	Task      *Task     `json:"task_info"` // of command tasks only
	Executor  *Executor `json:"executor_info"`
	Resources Resources `json:"resources"`
}

// Resources are what Mesos allocated to a container, each to a role.
type Resources []struct {
	Allocation struct {
		Role string `json:"role"`
	} `json:"allocation_info"`
}

// role returns the role to which all resources are allocated, "" where Mesos does not
// say, or names several.
func (r Resources) role() string {
	for _, one := range r {
		if one.Allocation.Role != r[0].Allocation.Role {
			return ""
		}
	}
	if len(r) == 0 {
		return ""
	}
	return r[0].Allocation.Role
}

// Command is what a container runs.
type Command struct {
	Environment struct {
		Variables []Variable `json:"variables"`
	} `json:"environment"`
}

// Variable is one of an environment. A secret one has no value.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Task is a command task.
type Task struct {
	Labels Labels `json:"labels"`
}

// Executor is the executor of a task, or of a group of tasks.
type Executor struct {
	Type        string `json:"type"` // DEFAULT for the executor of task groups
	Labels      Labels `json:"labels"`
	FrameworkID struct {
		Value string `json:"value"`
	} `json:"framework_id"`
	Resources Resources `json:"resources"`
}

// Labels are Mesos labels.
type Labels struct {
	Labels []api.Label `json:"labels"`
}

// Values of Config.Class and Executor.Type.
const (
	classDebug      = "DEBUG"
	executorDefault = "DEFAULT"
)

// maxNesting bounds the depth of a container; Mesos allows 32.
const maxNesting = 64

// ParseInput reads the input of a call. It checks what the rest relies upon.
func ParseInput(data []byte) (*Input, error) {
	in := new(Input)
	if err := json.Unmarshal(data, in); err != nil {
		return nil, fmt.Errorf("read container config: %w", err)
	}
	depth := 0
	for id := &in.ContainerID; id != nil; id = id.Parent {
		// Mesos allows neither; a period in an id would make two ids one.
		if id.Value == "" || strings.ContainsAny(id.Value, "./\x00\n") {
			return nil, fmt.Errorf("read container config: %q is not a container id", id.Value)
		}
		if depth++; depth > maxNesting {
			return nil, errors.New("read container config: the container is nested too deeply")
		}
	}
	for name, dir := range map[string]string{"directory": in.Config.Directory, "rootfs": in.Config.Rootfs} {
		if dir != "" && (!filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/") {
			return nil, fmt.Errorf("read container config: %s %q is not a clean absolute path", name, dir)
		}
	}
	return in, nil
}

// String returns the id as Mesos writes it, the parents' ids before it and
// joined by periods. It is the consumer's id.
func (id ContainerID) String() string {
	if id.Parent == nil {
		return id.Value
	}
	return id.Parent.String() + "." + id.Value
}

// variables returns the environment, which a command task's executor has from
// its task.
func (c *Config) variables() []api.Label {
	env := make([]api.Label, 0, len(c.Command.Environment.Variables))
	for _, v := range c.Command.Environment.Variables {
		env = append(env, api.Label{Key: v.Name, Value: v.Value})
	}
	return env
}
