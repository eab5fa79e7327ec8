// Package marathon turns Marathon's app and pod definitions into the tasks
// that Marathon would launch, just enough to run the examples: the ids, the
// environment and the labels are Marathon 1.11's.
package marathon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/test/mesos"
)

// App is an app definition.
type App struct {
	ID        string            `json:"id"`
	Cmd       string            `json:"cmd"`
	CPUs      float64           `json:"cpus"`
	Mem       float64           `json:"mem"`
	Disk      float64           `json:"disk"`
	Instances int               `json:"instances"`
	Env       map[string]string `json:"env"`
	Labels    map[string]string `json:"labels"`
	Container *Container        `json:"container"`
	// The rest changes nothing for a single task.
	UpgradeStrategy     map[string]float64 `json:"upgradeStrategy"`
	UnreachableStrategy any                `json:"unreachableStrategy"`
	KillGrace           float64            `json:"taskKillGracePeriodSeconds"`
	HealthChecks        []any              `json:"healthChecks"`
	PortDefinitions     []any              `json:"portDefinitions"`
	RequirePorts        bool               `json:"requirePorts"`
}

// Container is an app's container.
type Container struct {
	Type   string `json:"type"`
	Docker *struct {
		Image string `json:"image"`
	} `json:"docker"`
	Volumes []Volume `json:"volumes"`
}

// Volume is an external volume of an app.
type Volume struct {
	ContainerPath string `json:"containerPath"`
	Mode          string `json:"mode"`
	External      struct {
		Provider string         `json:"provider"`
		Name     string         `json:"name"`
		Size     int            `json:"size"` // GiB
		Options  map[string]any `json:"options"`
	} `json:"external"`
}

// DVDCLI returns the flags by which Mesos has dvdcli mount a volume of the provider
// dvdi: of its options Marathon passes on its own, without their prefix.
func (v *Volume) DVDCLI() string {
	flags := []string{fmt.Sprintf("--volumedriver=%v", v.External.Options["dvdi/driver"]), "--volumename=" + v.External.Name}
	if v.External.Size != 0 {
		flags = append(flags, fmt.Sprintf("--volumeopts=size=%d", v.External.Size))
	}
	for _, name := range slices.Sorted(maps.Keys(v.External.Options)) {
		option, passed := strings.CutPrefix(name, "dvdi/")
		if passed && option != "driver" {
			flags = append(flags, fmt.Sprintf("--volumeopts=%s=%v", option, v.External.Options[name]))
		}
	}
	return strings.Join(flags, " ")
}

// csi returns what Marathon has Mesos' volume/csi isolator serve for a volume of
// the provider csi.
func (v *Volume) csi() (mesos.CSIVolume, error) {
	var options struct {
		PluginName string
		Capability struct {
			AccessMode, AccessType, FSType string
			MountFlags                     []string
		}
		VolumeContext map[string]string
	}
	data, err := json.Marshal(v.External.Options)
	if err == nil {
		err = json.Unmarshal(data, &options)
	}
	return mesos.CSIVolume{
		Plugin: options.PluginName, ID: v.External.Name, ContainerPath: v.ContainerPath, ReadOnly: v.Mode == "RO",
		AccessMode: options.Capability.AccessMode, Block: options.Capability.AccessType == "block",
		FSType: options.Capability.FSType, MountFlags: options.Capability.MountFlags, Context: options.VolumeContext,
	}, err
}

// Pod is a pod definition.
type Pod struct {
	ID          string            `json:"id"`
	Labels      map[string]string `json:"labels"`
	Environment map[string]string `json:"environment"`
	Containers  []PodContainer    `json:"containers"`
	Scaling     map[string]any    `json:"scaling"`
	Scheduling  map[string]any    `json:"scheduling"`
}

// PodContainer is one container of a pod.
type PodContainer struct {
	Name string `json:"name"`
	Exec struct {
		Command struct {
			Shell string `json:"shell"`
		} `json:"command"`
	} `json:"exec"`
	Resources struct {
		CPUs float64 `json:"cpus"`
		Mem  float64 `json:"mem"`
	} `json:"resources"`
	Labels      map[string]string `json:"labels"`
	Environment map[string]string `json:"environment"`
}

// ReadApp reads an app definition from a file.
func ReadApp(path string) (*App, error) { return read[App](path) }

// ReadPod reads a pod definition from a file.
func ReadPod(path string) (*Pod, error) { return read[Pod](path) }

func read[T any](path string) (*T, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read definition: %w", err)
	}
	definition := new(T)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // a typo in an example must not go unseen
	if err := decoder.Decode(definition); err != nil {
		return nil, fmt.Errorf("read definition %s: %w", path, err)
	}
	return definition, nil
}

// Task returns the task that a new instance of the app runs as.
func (a *App) Task() *mesos.Task {
	return a.TaskOf(strings.ReplaceAll(strings.Trim(a.ID, "/"), "/", "_") + ".instance-" + uuid.NewString() + "._app.1")
}

// TaskOf returns the task of an id.
func (a *App) TaskOf(id string) *mesos.Task {
	t := &mesos.Task{
		ID: id, Name: dotted(a.ID), Command: a.Cmd, CPUs: a.CPUs, Mem: a.Mem, Labels: labelsOf(a.Labels),
	}
	env := maps.Clone(a.Env)
	if env == nil {
		env = map[string]string{}
	}
	if a.Container != nil && a.Container.Docker != nil {
		t.Image = a.Container.Docker.Image
		env["MARATHON_APP_DOCKER_IMAGE"] = t.Image
	}
	if a.Container != nil {
		for _, v := range a.Container.Volumes {
			if csi, err := v.csi(); err == nil && v.External.Provider == "csi" {
				t.CSI = append(t.CSI, csi)
			}
		}
	}
	env["MARATHON_APP_ID"] = a.ID
	env["MESOS_TASK_ID"] = id
	maps.Copy(env, labelEnvironment(a.Labels))
	t.Env = variablesOf(env)
	return t
}

// Group returns the task group that an instance of the pod runs as.
func (p *Pod) Group() *mesos.Group {
	instance := strings.ReplaceAll(strings.Trim(p.ID, "/"), "/", "_") + ".instance-" + uuid.NewString()
	g := &mesos.Group{Executor: instance, Labels: labelsOf(p.Labels)}
	for _, c := range p.Containers {
		labels := maps.Clone(p.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, c.Labels)
		env := maps.Clone(p.Environment)
		if env == nil {
			env = map[string]string{}
		}
		maps.Copy(env, c.Environment)
		env["MARATHON_APP_ID"] = p.ID
		env["MESOS_TASK_ID"] = instance + "." + c.Name
		env["MARATHON_CONTAINER_ID"] = c.Name
		maps.Copy(env, labelEnvironment(labels))
		g.Tasks = append(g.Tasks, &mesos.Task{
			ID: instance + "." + c.Name, Name: c.Name, Command: c.Exec.Command.Shell,
			CPUs: c.Resources.CPUs, Mem: c.Resources.Mem,
			Labels: labelsOf(c.Labels), Env: variablesOf(env),
		})
	}
	return g
}

// dotted is the name of an app's tasks: its id's parts in reverse order.
func dotted(id string) string {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	slices.Reverse(parts)
	return strings.Join(parts, ".")
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_]+`)

// maxVariable bounds the labels that Marathon puts into the environment, in
// characters of key and value.
const maxVariable = 512

// labelEnvironment returns the variables that Marathon makes of labels.
func labelEnvironment(labels map[string]string) map[string]string {
	env := map[string]string{}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(key) >= maxVariable || len(labels[key]) >= maxVariable {
			continue
		}
		name := strings.ToUpper(notInNames.ReplaceAllString(key, "_"))
		names = append(names, name)
		env["MARATHON_APP_LABEL_"+name] = labels[key]
	}
	env["MARATHON_APP_LABELS"] = strings.Join(names, " ")
	return env
}

func labelsOf(labels map[string]string) []mesos.Label {
	var all []mesos.Label
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, mesos.Label{Key: key, Value: labels[key]})
	}
	return all
}

func variablesOf(env map[string]string) []mesos.Variable {
	var all []mesos.Variable
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, mesos.Var(name, env[name]))
	}
	return all
}
