package mesos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// launchInfo is what the player acts on of a ContainerLaunchInfo.
type launchInfo struct {
	Mounts  []launch.Mount
	PreExec []launch.Command
	Env     []Variable // below the task's own
	TaskEnv []Variable // command tasks only
}

// abortError means that Mesos fails a CHECK: the whole agent dies.
type abortError struct{ cause string }

func (e *abortError) Error() string { return "the Mesos agent aborts: " + e.cause }

// wireLaunchInfo has the fields that Mesos knows, with their types. What is
// not played is decoded all the same: a wrong type fails the launch.
type wireLaunchInfo struct {
	PreExecCommands []wireCommand    `json:"pre_exec_commands"`
	Environment     *wireEnvironment `json:"environment"`
	TaskEnvironment *wireEnvironment `json:"task_environment"`
	Rootfs          *string          `json:"rootfs"`
	EnterNamespaces []int32          `json:"enter_namespaces"`
	CloneNamespaces []int32          `json:"clone_namespaces"`
	User            *string          `json:"user"`
	Command         *wireCommand     `json:"command"`
	WorkingDir      *string          `json:"working_directory"`
	Mounts          []wireMount      `json:"mounts"`
	FileOperations  []map[string]any `json:"file_operations"`
	MaskedPaths     []string         `json:"masked_paths"`
	TTY             *string          `json:"tty_slave_path"`
	Capabilities    *map[string]any  `json:"effective_capabilities"`
	Bounding        *map[string]any  `json:"bounding_capabilities"`
	RLimits         *map[string]any  `json:"rlimits"`
	Seccomp         *map[string]any  `json:"seccomp_profile"`
}

type wireCommand struct {
	Shell       *bool            `json:"shell"`
	Value       *string          `json:"value"`
	Arguments   []string         `json:"arguments"`
	User        *string          `json:"user"`
	URIs        []map[string]any `json:"uris"`
	Environment *wireEnvironment `json:"environment"`
}

type wireEnvironment struct {
	Variables []wireVariable `json:"variables"`
}

type wireVariable struct {
	Name  *string `json:"name"`
	Type  *string `json:"type"`
	Value *string `json:"value"`
}

type wireMount struct {
	Target  *string `json:"target"`
	Source  *string `json:"source"`
	Type    *string `json:"type"`
	Flags   *uint32 `json:"flags"`
	Options *string `json:"options"`
}

// parseLaunchInfo reads what prepare wrote, as strictly as Mesos: an empty file
// is no launch info, unknown fields (a name in another spelling is unknown) are
// ignored, a wrong type or a missing required field is an error.
func parseLaunchInfo(output []byte) (*launchInfo, error) {
	if len(output) == 0 {
		return &launchInfo{}, nil
	}
	var wire wireLaunchInfo
	if err := decodeExactly(output, &wire); err != nil {
		return nil, fmt.Errorf("Unable to deserialize ContainerLaunchInfo: %w", err) //nolint:staticcheck // as Mesos says it
	}
	info, err := wire.check()
	if err != nil {
		return nil, fmt.Errorf("Unable to deserialize ContainerLaunchInfo: %w", err) //nolint:staticcheck // as Mesos says it
	}
	return info, wire.refuse()
}

// decodeExactly decodes a JSON object into v without encoding/json's leniency
// about upper and lower case in field names.
func decodeExactly(data []byte, v any) error {
	if !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return errors.New("syntax error at line 1 near: not a JSON object")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name := range fields {
		if name != strings.ToLower(name) {
			delete(fields, name)
		}
	}
	exact, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(exact)).Decode(v)
}

// check asks for the required fields and translates the rest.
func (w *wireLaunchInfo) check() (*launchInfo, error) {
	info := new(launchInfo)
	for i, m := range w.Mounts {
		if m.Target == nil {
			return nil, fmt.Errorf("missing required fields: mounts[%d].target", i)
		}
		info.Mounts = append(info.Mounts, launch.Mount{
			Source: text(m.Source), Target: *m.Target, Type: text(m.Type), Options: text(m.Options), Flags: number(m.Flags),
		})
	}
	for _, c := range w.PreExecCommands {
		info.PreExec = append(info.PreExec, launch.Command{
			Shell: c.Shell == nil || *c.Shell, Value: text(c.Value), Arguments: c.Arguments,
		})
	}
	var err error
	if info.Env, err = w.Environment.check("environment"); err != nil {
		return nil, err
	}
	info.TaskEnv, err = w.TaskEnvironment.check("task_environment")
	return info, err
}

func (w *wireEnvironment) check(field string) ([]Variable, error) {
	if w == nil {
		return nil, nil
	}
	var all []Variable
	for i, v := range w.Variables {
		if v.Name == nil {
			return nil, fmt.Errorf("missing required fields: %s.variables[%d].name", field, i)
		}
		value := text(v.Value)
		if v.Type != nil && *v.Type == "SECRET" {
			value = "" // nothing resolves it
		}
		all = append(all, Var(*v.Name, value))
	}
	return all, nil
}

// refuse says what Mesos does not take from an isolator.
func (w *wireLaunchInfo) refuse() error {
	switch {
	case w.Rootfs != nil:
		return errors.New("Isolator should not specify rootfs") //nolint:staticcheck // as Mesos says it
	case w.User != nil:
		return errors.New("Isolator should not specify user") //nolint:staticcheck // as Mesos says it
	case w.Command != nil:
		return &abortError{"a command in the launch info"}
	case len(w.FileOperations) > 0:
		return errors.New("file operations are not played")
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *uint32) uint32 {
	if n == nil {
		return 0
	}
	return *n
}
