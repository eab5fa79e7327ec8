package mesos

// Task is what a framework asks an agent to run.
type Task struct {
	ID      string
	Name    string // "" for the ID
	Command string // of the shell
	Env     []Variable
	Labels  []Label
	Image   string // name of an image, "" to run on the host's files
	Volumes []DockerVolume
	CSI     []CSIVolume
	User    string  // that the task runs as, "" for root
	Fetch   string  // of the shell: what fetching its files does to the sandbox, as the task's user
	CPUs    float64 // 0 for 0.1
	Mem     float64 // MB, 0 for 32
	// Role is the one of the framework, "" for *. In a group it is what the executor says
	// of the task, which Mesos does not check.
	Role string
}

// DockerVolume is a volume that Mesos' own docker/volume isolator would serve;
// the command isolator sees it in the configuration.
type DockerVolume struct {
	Driver, Name, ContainerPath string
	ReadOnly                    bool
	Options                     []Label
}

// Group is a pod: tasks that start and end together under one executor.
type Group struct {
	Executor string  // its id, "" for "default-executor"
	Labels   []Label // of the executor
	User     string  // that the executor's sandbox belongs to, "" for root
	Role     string  // of the framework, "" for *
	Tasks    []*Task
}

// Var makes a variable.
func Var(name, value string) Variable { return Variable{Name: name, Type: "VALUE", Value: value} }

func (t *Task) name() string {
	if t.Name == "" {
		return t.ID
	}
	return t.Name
}

// withDefaults returns a copy with the resources filled in.
func (t *Task) withDefaults() *Task {
	c := *t
	if c.CPUs == 0 {
		c.CPUs = 0.1
	}
	if c.Mem == 0 {
		c.Mem = 32
	}
	return &c
}

func (g *Group) executorID() string {
	if g.Executor == "" {
		return "default-executor"
	}
	return g.Executor
}

func (t *Task) container() *containerInfo {
	if t.Image == "" && len(t.Volumes) == 0 && len(t.CSI) == 0 {
		return nil
	}
	c := &containerInfo{Type: "MESOS"}
	if t.Image != "" {
		c.Mesos = &mesosInfo{Image: &image{Cached: true, Docker: imageName{t.Image}, Type: "DOCKER"}}
	}
	mode := func(readOnly bool) string {
		if readOnly {
			return "RO"
		}
		return "RW"
	}
	for _, v := range t.CSI {
		source := v.source()
		c.Volumes = append(c.Volumes, volume{
			ContainerPath: v.ContainerPath, Mode: mode(v.ReadOnly), Source: volumeSource{CSIVolume: &source, Type: "CSI_VOLUME"},
		})
	}
	for _, v := range t.Volumes {
		d := dockerVolume{Driver: v.Driver, Name: v.Name}
		if len(v.Options) > 0 {
			d.DriverOptions = &parameters{v.Options}
		}
		c.Volumes = append(c.Volumes, volume{
			ContainerPath: v.ContainerPath, Mode: mode(v.ReadOnly),
			Source: volumeSource{DockerVolume: &d, Type: "DOCKER_VOLUME"},
		})
	}
	return c
}

// identity is which container of which framework on which agent.
type identity struct {
	agent, framework string
	container        containerID
	directory        string // the sandbox
	rootfs           string // "" without an image
}
