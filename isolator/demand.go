package isolator

import "github.com/flocker-mesos/flocker/api"

// marathonAppID is the variable in which Marathon gives a task its app's id.
const marathonAppID = "MARATHON_APP_ID"

// mesosTaskID is the variable in which Marathon gives a task its own id.
const mesosTaskID = "MESOS_TASK_ID"

// Demand is what a container asks for, as far as its config tells.
type Demand struct {
	Volumes []api.VolumeRequest
	Notes   []string // about settings without effect
	// AskMesos says that there may be labels which only Mesos knows: the
	// config of a nested container has none, and no Marathon has put them
	// into its environment.
	AskMesos bool
}

// Demand returns what the container asks for. Its labels are
//
//   - of a command task: the task's
//   - of an executor that brings its own tasks into its container: its own
//   - of the executor of a task group: none. What is mounted into it cannot
//     be seen by the tasks, and a pod's labels are also in their environment
//   - of a task in a task group: those in its environment, or in Mesos' memory
//   - of a debug container, such as a health check: none. It runs in the
//     mount namespace of the container that it looks at, and Mesos refuses
//     to launch it when a mount is added
//
// An error is an api.Mistakes.
func (in *Input) Demand() (Demand, error) {
	c := &in.Config
	var labels []api.Label
	switch {
	case c.Class == classDebug:
		return Demand{}, nil
	case in.ContainerID.Parent != nil:
		// No labels but those in the environment.
	case c.Task != nil:
		labels = c.Task.Labels.Labels
	case c.Executor != nil && c.Executor.Type == executorDefault:
		return Demand{}, nil
	case c.Executor != nil:
		labels = c.Executor.Labels.Labels
	}
	env := c.variables()
	app := last(env, marathonAppID)
	volumes, notes, err := api.ParseVolumes(app, labels, env)
	if err != nil {
		return Demand{}, err
	}
	ask := in.ContainerID.Parent != nil && app == "" && len(volumes) == 0
	return Demand{Volumes: volumes, Notes: notes, AskMesos: ask}, nil
}

// last returns the value of a variable. Of several the last counts.
func last(env []api.Label, name string) string {
	value := ""
	for _, v := range env {
		if v.Key == name {
			value = v.Value
		}
	}
	return value
}
