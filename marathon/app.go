package marathon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// App is an app of Marathon's, as its REST API has it, as far as volumes are
// concerned. What it does not know it leaves alone.
type App struct {
	ID                  string               `json:"id"`
	Instances           *int                 `json:"instances"` // nil: Marathon's default, 1
	Version             string               `json:"version"`
	User                string               `json:"user"` // "" for the framework's
	Labels              map[string]string    `json:"labels"`
	Env                 map[string]any       `json:"env"` // texts, and references to secrets
	Container           *Container           `json:"container"`
	Constraints         [][]string           `json:"constraints"`
	UpgradeStrategy     *UpgradeStrategy     `json:"upgradeStrategy"`
	UnreachableStrategy *UnreachableStrategy `json:"unreachableStrategy"`
	BackoffSeconds      *float64             `json:"backoffSeconds"`
	BackoffFactor       *float64             `json:"backoffFactor"`
	MaxLaunchDelay      *float64             `json:"maxLaunchDelaySeconds"`
	KillGrace           *float64             `json:"taskKillGracePeriodSeconds"`
	HealthChecks        []HealthCheck        `json:"healthChecks"`
	Role                string               `json:"role"` // of Mesos, since Marathon 1.9
	Cmd                 string               `json:"cmd"`
	Args                []string             `json:"args"`
	Tasks               []Task               `json:"tasks"`
	Deployments         []struct {
		ID string `json:"id"`
	} `json:"deployments"`
}

// Count returns how many instances the app is to have.
func (a *App) Count() int {
	if a.Instances == nil {
		return 1
	}
	return *a.Instances
}

// Resident reports whether the app has a volume on the disk of one machine, to which
// Marathon then keeps it.
func (a *App) Resident() bool {
	return a.Container != nil && slices.ContainsFunc(a.Container.Volumes, func(v ContainerVolume) bool { return v.Persistent != nil })
}

// HealthCheck is a test of whether an instance is well.
type HealthCheck struct {
	Protocol string `json:"protocol"` // of an app's: COMMAND, HTTP, MESOS_HTTP, ...
	// MaxFailures is how many failures in a row have the instance killed; nil for
	// Marathon's default, 3. Of Marathon's own checks 0 means never; where Mesos
	// checks, 0 means at the first failure.
	MaxFailures *float64 `json:"maxConsecutiveFailures"`
}

// ByMesos reports whether Mesos carries out the check of an app.
func (h *HealthCheck) ByMesos() bool {
	protocol := strings.ToUpper(h.Protocol)
	return protocol == "COMMAND" || strings.HasPrefix(protocol, "MESOS_")
}

// Container is the container of an app, or of a pod none.
type Container struct {
	Type    string            `json:"type"` // MESOS or DOCKER
	Volumes []ContainerVolume `json:"volumes"`
	Docker  *struct {
		Image      string      `json:"image"`
		Parameters []Parameter `json:"parameters"`
	} `json:"docker"`
}

// Parameter is one that goes to docker run.
type Parameter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ContainerVolume is an entry of container.volumes.
type ContainerVolume struct {
	ContainerPath string    `json:"containerPath"`
	Mode          string    `json:"mode"` // RW or RO
	External      *External `json:"external"`
	Persistent    *struct{} `json:"persistent"` // on the machine's own disk
}

// External is a volume of a provider that is not Marathon's own.
type External struct {
	Provider string         `json:"provider"` // dvdi or csi
	Name     string         `json:"name"`
	Size     *int64         `json:"size"` // GiB
	Shared   bool           `json:"shared"`
	Options  map[string]any `json:"options"`
}

// UpgradeStrategy says how many instances there may be during a deployment.
type UpgradeStrategy struct {
	MinimumHealthCapacity *float64 `json:"minimumHealthCapacity"`
	MaximumOverCapacity   *float64 `json:"maximumOverCapacity"`
}

// UnreachableStrategy says when a task on a silent machine is replaced.
type UnreachableStrategy struct {
	Disabled      bool
	InactiveAfter time.Duration
	ExpungeAfter  time.Duration
	// Ignored is a value that is neither "disabled" nor an object: Marathon takes
	// its default, 0 and 0, in its place. It is "" otherwise.
	Ignored string
}

// UnmarshalJSON implements json.Unmarshaler: "disabled", in small or capital letters,
// or an object.
func (s *UnreachableStrategy) UnmarshalJSON(text []byte) error {
	if word := ""; json.Unmarshal(text, &word) == nil && strings.EqualFold(word, "disabled") {
		*s = UnreachableStrategy{Disabled: true}
		return nil
	}
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '{' {
		*s = UnreachableStrategy{Ignored: string(text)}
		return nil
	}
	var o struct {
		Inactive float64 `json:"inactiveAfterSeconds"`
		Expunge  float64 `json:"expungeAfterSeconds"`
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return fmt.Errorf("unreachableStrategy: want \"disabled\" or an object: %w", err)
	}
	*s = UnreachableStrategy{
		InactiveAfter: time.Duration(o.Inactive * float64(time.Second)), ExpungeAfter: time.Duration(o.Expunge * float64(time.Second)),
	}
	return nil
}

// Task is a task of an app.
type Task struct {
	ID        string    `json:"id"`
	AppID     string    `json:"appId"`
	Host      string    `json:"host"`    // the agent's --hostname
	AgentID   string    `json:"slaveId"` // Mesos' id of the agent
	State     string    `json:"state"`   // TASK_...
	Version   string    `json:"version"` // of the app, as it was launched
	StagedAt  time.Time `json:"stagedAt"`
	StartedAt time.Time `json:"startedAt"`
}

// Pod is a pod of Marathon's, as far as volumes are concerned.
type Pod struct {
	ID          string            `json:"id"`
	Version     string            `json:"version"`
	User        string            `json:"user"` // of all containers that have none
	Labels      map[string]string `json:"labels"`
	Environment map[string]any    `json:"environment"`
	Role        string            `json:"role"` // of Mesos, since Marathon 1.9
	Containers  []PodContainer    `json:"containers"`
	Declared    []PodVolume       `json:"volumes"`
	Scaling     *struct {
		Kind      string `json:"kind"`
		Instances int    `json:"instances"`
	} `json:"scaling"`
	Scheduling *struct {
		Upgrade             *UpgradeStrategy     `json:"upgrade"`
		UnreachableStrategy *UnreachableStrategy `json:"unreachableStrategy"`
		Backoff             *PodBackoff          `json:"backoff"`
		Placement           *struct {
			Constraints []PodConstraint `json:"constraints"`
		} `json:"placement"`
	} `json:"scheduling"`
}

// PodBackoff says how long Marathon waits before it launches a pod again that
// has failed, in seconds.
type PodBackoff struct {
	Backoff        *float64 `json:"backoff"`
	Factor         *float64 `json:"backoffFactor"`
	MaxLaunchDelay *float64 `json:"maxLaunchDelay"`
}

// PodConstraint is what an app writes as ["@zone", "IS", "a"].
type PodConstraint struct {
	Field    string `json:"fieldName"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
}

// PodVolume is one of a pod's own, which Marathon knows no external ones among.
type PodVolume struct {
	Name     string    `json:"name"`
	External *External `json:"external"`
}

// Count returns how many instances the pod is to have.
func (p *Pod) Count() int {
	if p.Scaling == nil {
		return 1
	}
	return p.Scaling.Instances
}

// PodContainer is one container of a pod.
type PodContainer struct {
	Name        string            `json:"name"`
	User        string            `json:"user"`
	Labels      map[string]string `json:"labels"`
	Environment map[string]any    `json:"environment"`
	Image       *struct {
		ID string `json:"id"`
	} `json:"image"`
	Exec *struct {
		Command struct {
			Shell string   `json:"shell"`
			Argv  []string `json:"argv"`
		} `json:"command"`
	} `json:"exec"`
	Lifecycle *struct {
		KillGrace *float64 `json:"killGracePeriodSeconds"`
	} `json:"lifecycle"`
	HealthCheck *HealthCheck  `json:"healthCheck"`
	Mounts      []VolumeMount `json:"volumeMounts"`
}

// VolumeMount is where a container of a pod has one of the pod's volumes.
type VolumeMount struct {
	Path string `json:"mountPath"`
}
