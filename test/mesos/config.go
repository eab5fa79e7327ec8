package mesos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"path"
)

// The container configuration, in the shape and order in which Mesos writes
// it: keys sorted, absent where nothing is set.

type containerConfig struct {
	CommandInfo      commandInfo    `json:"command_info"`
	ContainerClass   string         `json:"container_class,omitempty"`
	ContainerInfo    *containerInfo `json:"container_info,omitempty"`
	Directory        string         `json:"directory"`
	Docker           *docker        `json:"docker,omitempty"`
	EphemeralVolumes []string       `json:"ephemeral_volumes,omitempty"`
	ExecutorInfo     executorInfo   `json:"executor_info"`
	Resources        []resource     `json:"resources,omitempty"`
	Rootfs           string         `json:"rootfs,omitempty"`
	TaskInfo         *taskInfo      `json:"task_info,omitempty"`
	User             string         `json:"user,omitempty"`
}

type commandInfo struct {
	Arguments   []string     `json:"arguments,omitempty"`
	Environment *environment `json:"environment,omitempty"`
	Shell       *bool        `json:"shell,omitempty"`
	Value       string       `json:"value,omitempty"`
}

type environment struct {
	Variables []Variable `json:"variables"`
}

// Variable is a variable of a task's environment.
type Variable struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type containerInfo struct {
	Mesos   *mesosInfo `json:"mesos,omitempty"`
	Type    string     `json:"type"`
	Volumes []volume   `json:"volumes,omitempty"`
}

type mesosInfo struct {
	Image *image `json:"image,omitempty"`
}

type image struct {
	Cached bool      `json:"cached"`
	Docker imageName `json:"docker"`
	Type   string    `json:"type"`
}

type imageName struct {
	Name string `json:"name"`
}

type volume struct {
	ContainerPath string       `json:"container_path"`
	Mode          string       `json:"mode"`
	Source        volumeSource `json:"source"`
}

type volumeSource struct {
	CSIVolume    *csiVolume    `json:"csi_volume,omitempty"`
	DockerVolume *dockerVolume `json:"docker_volume,omitempty"`
	Type         string        `json:"type"`
}

type csiVolume struct {
	PluginName         string          `json:"plugin_name"`
	StaticProvisioning csiProvisioning `json:"static_provisioning"`
}

type csiProvisioning struct {
	VolumeCapability csiCapability     `json:"volume_capability"`
	VolumeContext    map[string]string `json:"volume_context,omitempty"`
	VolumeID         string            `json:"volume_id"`
}

type csiCapability struct {
	AccessMode csiAccessMode `json:"access_mode"`
	Block      *struct{}     `json:"block,omitempty"`
	Mount      *csiMount     `json:"mount,omitempty"`
}

type csiAccessMode struct {
	Mode string `json:"mode"`
}

type csiMount struct {
	FSType     string   `json:"fs_type,omitempty"`
	MountFlags []string `json:"mount_flags,omitempty"`
}

type dockerVolume struct {
	Driver        string      `json:"driver"`
	DriverOptions *parameters `json:"driver_options,omitempty"`
	Name          string      `json:"name"`
}

type parameters struct {
	Parameter []Label `json:"parameter"`
}

type docker struct {
	Manifest json.RawMessage `json:"manifest"`
}

type executorInfo struct {
	Command     commandInfo    `json:"command"`
	Container   *containerInfo `json:"container,omitempty"`
	ExecutorID  value          `json:"executor_id"`
	FrameworkID value          `json:"framework_id"`
	Labels      *labels        `json:"labels,omitempty"`
	Name        string         `json:"name,omitempty"`
	Resources   []resource     `json:"resources,omitempty"`
	Source      string         `json:"source,omitempty"`
	Type        string         `json:"type,omitempty"`
}

type taskInfo struct {
	Command   commandInfo    `json:"command"`
	Container *containerInfo `json:"container,omitempty"`
	Labels    *labels        `json:"labels,omitempty"`
	Name      string         `json:"name"`
	Resources []resource     `json:"resources"`
	SlaveID   value          `json:"slave_id"`
	TaskID    value          `json:"task_id"`
}

type value struct {
	Value string `json:"value"`
}

type labels struct {
	Labels []Label `json:"labels"`
}

// Label is a label of a task or an executor.
type Label struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type resource struct {
	AllocationInfo *allocation `json:"allocation_info,omitempty"`
	Name           string      `json:"name"`
	Scalar         scalar      `json:"scalar"`
	Type           string      `json:"type"`
}

type allocation struct {
	Role string `json:"role"`
}

type scalar struct {
	Value float64 `json:"value"`
}

type containerID struct {
	Parent *containerID `json:"parent,omitempty"`
	Value  string       `json:"value"`
}

// input is the input file of a command.
type input struct {
	ContainerConfig *containerConfig `json:"container_config"`
	ContainerID     containerID      `json:"container_id"`
	Pid             int              `json:"pid,omitempty"` // isolate only
}

// encode returns v as Mesos writes it: one line, no newline at its end, and
// nothing escaped that JSON does not ask for.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// sandboxInImage is where Mesos binds the sandbox in an image.
const sandboxInImage = "/mnt/mesos/sandbox"

const launcherDir = "/usr/libexec/mesos"

func executorCommand(program string, image bool, env *environment) commandInfo {
	c := commandInfo{
		Arguments:   []string{program, "--launcher_dir=" + launcherDir},
		Environment: env,
		Shell:       new(bool),
		Value:       path.Join(launcherDir, program),
	}
	if image {
		c.Arguments = append(c.Arguments, "--sandbox_directory="+sandboxInImage)
	}
	return c
}

func shellCommand(command string, env *environment) commandInfo {
	yes := true
	return commandInfo{Environment: env, Shell: &yes, Value: command}
}

// commandTaskConfig describes the container of a command task: its command is
// the executor's, the task's own is in the task info, and the executor info
// carries copies of the task's labels and environment.
func commandTaskConfig(id identity, t *Task) *containerConfig {
	env := environmentOf(t.Env)
	command := executorCommand("mesos-executor", t.Image != "", env)
	container := t.container()
	all := resources(t.Role, t.CPUs+0.1, t.Mem+32, 0)
	c := &containerConfig{
		CommandInfo:   command,
		ContainerInfo: container,
		Directory:     id.directory,
		ExecutorInfo: executorInfo{
			Command:     command,
			Container:   container,
			ExecutorID:  value{t.ID},
			FrameworkID: value{id.framework},
			Labels:      labelsOf(t.Labels),
			Name:        "Command Executor (Task: " + t.ID + ") (Command: sh -c '" + shorten(t.Command) + ")",
			Resources:   all,
			Source:      t.ID,
		},
		Resources: all,
		TaskInfo: &taskInfo{
			Command:   shellCommand(t.Command, env),
			Container: container,
			Labels:    labelsOf(t.Labels),
			Name:      t.name(),
			Resources: resources(t.Role, t.CPUs, t.Mem, 0),
			SlaveID:   value{id.agent},
			TaskID:    value{t.ID},
		},
		User: t.User,
	}
	c.addImage(id, t)
	return c
}

// shorten shortens a command as Mesos does for the executor's name.
func shorten(command string) string {
	if len(command) > 15 {
		return command[:12] + "...'"
	}
	return command + "'"
}

// groupExecutorInfo describes the executor of a task group.
func groupExecutorInfo(id identity, g *Group) executorInfo {
	cpus, mem := 0.1, 32.0
	for _, t := range g.Tasks {
		cpus, mem = cpus+t.CPUs, mem+t.Mem
	}
	return executorInfo{
		Command:     executorCommand("mesos-default-executor", false, nil),
		ExecutorID:  value{g.executorID()},
		FrameworkID: value{id.framework},
		Labels:      labelsOf(g.Labels),
		Resources:   resources(g.Role, cpus, mem, 32),
		Type:        "DEFAULT",
	}
}

func groupExecutorConfig(id identity, info executorInfo) *containerConfig {
	return &containerConfig{
		CommandInfo:  info.Command,
		Directory:    id.directory,
		ExecutorInfo: info,
		Resources:    info.Resources,
	}
}

// nestedTaskConfig describes the container of a task in a group: no task
// info, and so no labels; the command and its environment are the task's own.
func nestedTaskConfig(id identity, info executorInfo, t *Task) *containerConfig {
	env := append(append([]Variable(nil), t.Env...),
		Var("MESOS_CONTAINER_IP", "127.0.0.1"), Var("MESOS_ALLOCATION_ROLE", cmp.Or(t.Role, "*")))
	c := &containerConfig{
		CommandInfo:    shellCommand(t.Command, environmentOf(env)),
		ContainerClass: "DEFAULT",
		ContainerInfo:  t.container(),
		Directory:      id.directory,
		ExecutorInfo:   info,
		Resources:      resources(t.Role, t.CPUs, t.Mem, 0),
	}
	c.addImage(id, t)
	return c
}

// debugConfig describes the container of a command health check.
func debugConfig(id identity, info executorInfo, command string) *containerConfig {
	return &containerConfig{
		CommandInfo:    shellCommand(command, nil),
		ContainerClass: "DEBUG",
		Directory:      id.directory,
		ExecutorInfo:   info,
	}
}

func (c *containerConfig) addImage(id identity, t *Task) {
	if t.Image == "" {
		return
	}
	c.Rootfs = id.rootfs
	scratch := path.Join(path.Dir(path.Dir(id.rootfs)), "scratch", path.Base(id.rootfs))
	c.EphemeralVolumes = []string{path.Join(scratch, "upperdir"), path.Join(scratch, "workdir")}
	c.Docker = &docker{Manifest: json.RawMessage(`{"architecture":"amd64",` +
		`"config":{"Cmd":["sh"],"Env":["PATH=/bin","IMG_ENV=1"],"WorkingDir":"/var/lib"},` +
		`"container_config":{"Cmd":["sh"]},"created":"2020-01-01T00:00:00Z",` +
		`"id":"77ea7eee3d80b1a38f83906dd3048e2689457eb90e18a7d12f839c5ae37106a2","os":"linux"}`)}
}

// HiddenRole is the role of tasks whose resources name none, as those of Mesos before 1.4.
const HiddenRole = "(hidden)"

// resources lists the scalars that are not zero, allocated to a role.
func resources(role string, cpus, mem, disk float64) []resource {
	info := &allocation{cmp.Or(role, "*")}
	if role == HiddenRole {
		info = nil
	}
	var all []resource
	for _, r := range []struct {
		name  string
		value float64
	}{{"cpus", cpus}, {"mem", mem}, {"disk", disk}} {
		if r.value != 0 {
			all = append(all, resource{
				AllocationInfo: info, Name: r.name, Type: "SCALAR",
				Scalar: scalar{math.Round(r.value*1000) / 1000}, // Mesos' fixed point
			})
		}
	}
	return all
}

func labelsOf(l []Label) *labels {
	if len(l) == 0 {
		return nil
	}
	return &labels{l}
}

func environmentOf(v []Variable) *environment {
	if len(v) == 0 {
		return nil
	}
	return &environment{v}
}
