package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/flocker-mesos/flocker/marathon"
)

// Info is what Marathon says of itself.
type Info struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Elected   bool   `json:"elected"`
	Leader    string `json:"leader"`      // host:port
	Framework string `json:"frameworkId"` // Mesos' id of it
	Config    struct {
		Features           []string `json:"features"`
		MesosLeaderUIURL   string   `json:"mesos_leader_ui_url"`
		TaskLaunchTimeout  int64    `json:"task_launch_timeout"`     // milliseconds
		ReconcileInterval  int64    `json:"reconciliation_interval"` // milliseconds
		TaskLaunchConfirm  int64    `json:"task_launch_confirm_timeout"`
		MesosMasterAddress string   `json:"master"`
		Role               string   `json:"mesos_role"` // of apps that have none of their own
	} `json:"marathon_config"`
}

// Info returns what the Marathon that answers says of its leader's cluster.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	var info Info
	err := c.call(ctx, http.MethodGet, "/v2/info", nil, &info)
	return &info, err
}

// Apps returns all apps with their tasks.
func (c *Client) Apps(ctx context.Context) ([]*marathon.App, error) {
	var answer struct {
		Apps []*marathon.App `json:"apps"`
	}
	err := c.call(ctx, http.MethodGet, "/v2/apps?embed=apps.tasks&embed=apps.deployments", nil, &answer)
	return clean(answer.Apps), err
}

// App returns one app with its tasks. Errors: ErrNotFound.
func (c *Client) App(ctx context.Context, id string) (*marathon.App, error) {
	var answer struct {
		App *marathon.App `json:"app"`
	}
	if err := c.call(ctx, http.MethodGet, "/v2/apps"+escape(id), nil, &answer); err != nil {
		return nil, err
	}
	if answer.App == nil {
		return nil, fmt.Errorf("read answer: there is no app in it")
	}
	return answer.App, nil
}

// PodStatus is a pod with its instances.
type PodStatus struct {
	ID        string        `json:"id"`
	Spec      marathon.Pod  `json:"spec"`
	Status    string        `json:"status"` // STABLE, DEGRADED, TERMINAL
	Instances []PodInstance `json:"instances"`
}

// PodInstance is an instance of a pod.
type PodInstance struct {
	ID          string    `json:"id"`
	Status      string    `json:"status"` // PENDING, STAGING, STABLE, DEGRADED, TERMINAL
	StatusSince time.Time `json:"statusSince"`
	Host        string    `json:"agentHostname"`
	AgentID     string    `json:"agentId"`
	Containers  []struct {
		Name   string `json:"name"`
		Status string `json:"status"` // TASK_...
	} `json:"containers"`
}

// Pods returns all pods with their instances.
func (c *Client) Pods(ctx context.Context) ([]*PodStatus, error) {
	var answer []*PodStatus
	err := c.call(ctx, http.MethodGet, "/v2/pods/::status", nil, &answer)
	return clean(answer), err
}

// Pod returns one pod with its instances. Errors: ErrNotFound.
func (c *Client) Pod(ctx context.Context, id string) (*PodStatus, error) {
	var answer PodStatus
	if err := c.call(ctx, http.MethodGet, "/v2/pods"+escape(id)+"::status", nil, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// Deployment is a change that Marathon carries out.
type Deployment struct {
	ID             string   `json:"id"`
	AffectedApps   []string `json:"affectedApps"`
	AffectedPods   []string `json:"affectedPods"`
	CurrentActions []Action `json:"currentActions"`
	Steps          []Step   `json:"steps"`
}

// Step is a step of a deployment.
type Step struct {
	Actions []Action `json:"actions"`
}

// Action is what a step does to an app or pod.
type Action struct {
	Action string `json:"action"` // StartApplication, StopApplication, ScaleApplication, RestartApplication
	Type   string `json:"type"`   // the same, in events of some versions
	App    string `json:"app"`
	Pod    string `json:"pod"`
}

// Deployments returns what Marathon carries out now.
func (c *Client) Deployments(ctx context.Context) ([]*Deployment, error) {
	var answer []*Deployment
	err := c.call(ctx, http.MethodGet, "/v2/deployments", nil, &answer)
	return clean(answer), err
}

// Queued is why instances of an app or pod have not been started.
type Queued struct {
	App   *struct{ ID string } `json:"app"`
	Pod   *struct{ ID string } `json:"pod"`
	Count int                  `json:"count"`
	Delay struct {
		TimeLeftSeconds int  `json:"timeLeftSeconds"`
		Overdue         bool `json:"overdue"`
	} `json:"delay"`
}

// Queue returns what waits to be started.
func (c *Client) Queue(ctx context.Context) ([]*Queued, error) {
	var answer struct {
		Queue []*Queued `json:"queue"`
	}
	err := c.call(ctx, http.MethodGet, "/v2/queue", nil, &answer)
	return clean(answer.Queue), err
}

// The calls that follow change something. They are for tests, and for whoever
// deploys by this package.

// Change is what Marathon answers to a change.
type Change struct {
	Version    string `json:"version"`
	Deployment string `json:"deploymentId"`
}

// CreateApp creates an app of a definition, which is sent as it is. Errors:
// ErrExists, ErrInvalid.
func (c *Client) CreateApp(ctx context.Context, definition any) error {
	return c.call(ctx, http.MethodPost, "/v2/apps", definition, nil)
}

// PutApp creates or changes an app. Errors: ErrLocked, ErrInvalid.
func (c *Client) PutApp(ctx context.Context, id string, definition any, force bool) (*Change, error) {
	return c.change(ctx, http.MethodPut, "/v2/apps"+escape(id), definition, force)
}

// DeleteApp destroys an app. Errors: ErrLocked, ErrNotFound.
func (c *Client) DeleteApp(ctx context.Context, id string, force bool) (*Change, error) {
	return c.change(ctx, http.MethodDelete, "/v2/apps"+escape(id), nil, force)
}

// RestartApp replaces all tasks of an app. Errors: ErrLocked, ErrNotFound.
func (c *Client) RestartApp(ctx context.Context, id string, force bool) (*Change, error) {
	return c.change(ctx, http.MethodPost, "/v2/apps"+escape(id)+"/restart", nil, force)
}

// KillTask kills a task, which Marathon replaces.
func (c *Client) KillTask(ctx context.Context, app, task string) error {
	return c.call(ctx, http.MethodDelete, "/v2/apps"+escape(app)+"/tasks/"+url.PathEscape(task), nil, nil)
}

// CreatePod creates a pod. Errors: ErrExists, ErrInvalid.
func (c *Client) CreatePod(ctx context.Context, definition any) error {
	return c.call(ctx, http.MethodPost, "/v2/pods", definition, nil)
}

// DeletePod destroys a pod. Errors: ErrLocked, ErrNotFound.
func (c *Client) DeletePod(ctx context.Context, id string, force bool) error {
	path := "/v2/pods" + escape(id)
	if force {
		path += "?force=true"
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

func (c *Client) change(ctx context.Context, method, path string, definition any, force bool) (*Change, error) {
	if force {
		path += "?force=true"
	}
	var answer Change
	if err := c.call(ctx, method, path, definition, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// clean takes out what is null in a list.
func clean[T any](list []*T) []*T {
	out := list[:0]
	for _, v := range list {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}
