package double

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// app is an app or a pod.
type app struct {
	spec

	id        string
	pod       bool
	instances []*instance    // oldest first, also those that are being killed
	history   []spec         // with the newest
	asked     []string       // versions that were asked for and never were
	failure   map[string]any // the last failure of a task
	destroyed bool           // no list has it any more
}

// versions lists the versions that there have been, oldest first.
func (a *app) versions() []string {
	all := []string{}
	for _, s := range a.history {
		all = append(all, s.version)
	}
	return all
}

// at returns what the app was at a version, nil for none.
func (a *app) at(version string) *spec {
	i := slices.IndexFunc(a.history, func(s spec) bool { return s.version == version })
	if i < 0 {
		return nil
	}
	return &a.history[i]
}

// Conditions of instances, in Marathon's words.
const (
	scheduled   = "Scheduled"
	provisioned = "Provisioned"
	running     = "Running"
)

// instance is an instance of an app.
type instance struct {
	id        string
	attempt   int
	version   string
	host      string
	agent     string
	condition string
	staged    time.Time
	started   time.Time
	since     time.Time // of the condition
	port      int
	tasks     []*task
	killed    bool  // a kill is under way
	goalStop  bool  // it is not to be started again
	expunged  bool  // no list has it any more
	reached   bool  // a task has started: its address is known
	healthy   *bool // nil where nothing has been checked
	checked   map[string]any
}

// task is one of a pod's containers, or what an app's instance runs.
type task struct {
	container string // "" of an app
	state     string // TASK_..., "" for none yet
	since     time.Time
}

func (in *instance) scheduled() bool { return in.host == "" }

// live reports whether there may be a task.
func (in *instance) live() bool { return in.host != "" && !terminal(in.condition) }

func terminal(condition string) bool {
	switch condition {
	case "Finished", "Failed", "Killed", "Error", "Dropped", "Gone", "Lost":
		return true
	default:
		return false
	}
}

// ended reports whether a task's state is an end.
func ended(state string) bool { return state != "" && terminal(conditionOf(state)) }

// conditionOf is Marathon's word for a state of Mesos'.
func conditionOf(state string) string {
	if state == "TASK_GONE_BY_OPERATOR" {
		return "Gone"
	}
	word := strings.TrimPrefix(state, "TASK_")
	return word[:1] + strings.ToLower(word[1:])
}

// stateOf is how the REST API shows a condition.
func stateOf(condition string) string {
	switch condition {
	case scheduled, provisioned:
		return "TASK_STAGING"
	case "UnreachableInactive":
		return "TASK_UNREACHABLE"
	default:
		return "TASK_" + strings.ToUpper(condition)
	}
}

func (in *instance) taskID(t *task) string {
	if t.container == "" {
		return fmt.Sprintf("%s._app.%d", in.id, in.attempt)
	}
	return fmt.Sprintf("%s.%s.%d", in.id, t.container, in.attempt)
}

// launchID is how a launcher knows an instance.
func (in *instance) launchID(a *app) string {
	if a.pod {
		return in.id
	}
	return in.taskID(in.tasks[0])
}

// find returns the instance and the tasks of an id: of a task, or of a pod's instance for
// all of its tasks.
func (d *Double) find(id string) (*app, *instance, []*task) {
	name, _, _ := strings.Cut(id, "._app.")
	in := d.byInstance[name]
	if in == nil {
		for candidate := name; in == nil && strings.Contains(candidate, ".instance-"); {
			candidate = candidate[:strings.LastIndex(candidate, ".")]
			in = d.byInstance[candidate]
		}
	}
	if in == nil {
		return nil, nil, nil
	}
	if in.id == id && in.tasks[0].container != "" {
		return d.owners[in.id], in, in.tasks
	}
	for _, t := range in.tasks {
		if in.taskID(t) == id {
			return d.owners[in.id], in, []*task{t}
		}
	}
	return nil, nil, nil
}

// Update says what has become of a task. One that is not known is ignored.
func (d *Double) Update(task, state string) { d.UpdateWith(task, state, "") }

// UpdateWith is Update with Mesos' message.
func (d *Double) UpdateWith(task, state, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, in, tasks := d.find(task)
	if in == nil {
		return
	}
	if in.expunged && state == "TASK_RUNNING" { // a task that was given up is back
		d.killTasks(a, in)
		return
	}
	for _, t := range tasks {
		d.become(a, in, t, state, message)
	}
	d.advanceAll()
}

// become takes over a task's new state and tells of it. The caller has the mutex.
func (d *Double) become(a *app, in *instance, t *task, state, message string) {
	if t.state == state && state != "TASK_RUNNING" {
		return
	}
	now := time.Now().UTC()
	again := t.state == state
	t.state, t.since = state, now
	if in.expunged {
		if ended(state) {
			d.tell("unknown_instance_terminated_event", map[string]any{"instanceId": in.id, "runSpecId": a.id, "condition": conditionOf(state)})
		}
		return
	}
	before := in.condition
	in.reached = in.reached || state == "TASK_STARTING" || state == "TASK_RUNNING"
	in.condition = in.combined(before)
	if state == "TASK_UNREACHABLE" {
		if inactive, _, never := a.unreachable(); inactive == 0 && !never {
			in.condition = "UnreachableInactive"
		}
	}
	if state == "TASK_RUNNING" && in.started.IsZero() {
		in.started = now
	}
	if terminal(in.condition) && a.destroyed && !a.pod { // Marathon tells of the last task's end after that of the app
		d.advanceAll()
	}
	d.tell("status_update_event", map[string]any{
		"slaveId": in.agent, "taskId": in.taskID(t), "taskStatus": state, "message": message, "appId": a.id, "host": in.host,
		"ipAddresses": in.addresses(), "ports": in.ports(a), "version": in.version,
	})
	if in.condition != before {
		in.since = now
		d.tellInstance(a, in)
	}
	d.announce()
	if again {
		return
	}
	if state == "TASK_FAILED" || state == "TASK_ERROR" || state == "TASK_DROPPED" || state == "TASK_LOST" {
		a.failure = map[string]any{
			"appId": a.id, "host": in.host, "message": message, "state": state, "taskId": in.taskID(t), "timestamp": stamp(now),
			"version": in.version, "slaveId": in.agent,
		}
	}
	if terminal(in.condition) {
		d.over(a, in)
	}
	if _, expunge, never := a.unreachable(); in.condition == "UnreachableInactive" && expunge == 0 && !never {
		d.expunge(a, in)
	}
}

// combined returns the condition that an instance's tasks have together: it changes with
// the first that starts or is killed, and with the last that runs or ends.
func (in *instance) combined(before string) string {
	count := map[string]int{}
	for _, t := range in.tasks {
		if t.state != "" {
			count[conditionOf(t.state)]++
		}
	}
	ends := 0
	for condition, n := range count {
		if terminal(condition) {
			ends += n
		}
	}
	switch {
	case ends == len(in.tasks):
		for _, condition := range []string{"Failed", "Error", "Lost", "Gone", "Dropped", "Killed"} {
			if count[condition] > 0 {
				return condition
			}
		}
		return "Finished"
	case count["Killing"] > 0, before == "Killing":
		return "Killing"
	case count["Unreachable"] > 0:
		return "Unreachable"
	case count[running] == len(in.tasks):
		return running
	case before == running || ends > 0:
		return before
	case count["Starting"]+count[running] > 0:
		return "Starting"
	default:
		return before
	}
}

func (in *instance) addresses() []any {
	address := in.address()
	if address == "" || !in.reached || strings.HasPrefix(in.condition, "Unreachable") {
		return []any{}
	}
	return []any{map[string]any{"ipAddress": address, "protocol": "IPv4"}}
}

func (in *instance) address() string {
	if in.host == "" {
		return ""
	}
	return "10.78.0.11"
}

func (in *instance) ports(a *app) []int {
	if a.pod || in.port == 0 {
		return []int{}
	}
	return []int{in.port}
}

// tellInstance tells how an instance is, also where that is as before.
func (d *Double) tellInstance(a *app, in *instance) {
	fields := map[string]any{
		"instanceId": in.id, "condition": in.condition, "runSpecId": a.id, "agentId": nil, "host": nil, "runSpecVersion": in.version,
	}
	if in.host != "" {
		fields["agentId"], fields["host"] = in.agent, in.host
	}
	d.tell("instance_changed_event", fields)
}

// over has an instance whose tasks have ended go, or start again: the same one, by another
// attempt, where it is still wanted.
func (d *Double) over(a *app, in *instance) {
	if in.goalStop || a.destroyed || in.version < a.configAt && d.action(a.id) == restart {
		d.drop(a, in)
		return
	}
	in.killed = false // it waits for its next launch
	d.waiting[in.id] = true
}

// drop takes an instance off the list.
func (d *Double) drop(a *app, in *instance) {
	a.instances = slices.DeleteFunc(a.instances, func(other *instance) bool { return other == in })
}

// expunge gives an instance up whose tasks may still run.
func (d *Double) expunge(a *app, in *instance) {
	in.expunged = true
	d.drop(a, in)
}

// decommission has an instance end for good, and tells that its goal has changed.
func (d *Double) decommission(a *app, in *instance) {
	if in.goalStop {
		return
	}
	in.goalStop = true
	d.tellInstance(a, in)
	if !in.live() {
		d.drop(a, in)
		return
	}
	d.killTasks(a, in)
}

// killTasks kills what an instance runs.
func (d *Double) killTasks(a *app, in *instance) {
	in.killed = true
	switch {
	case d.opts.Offers:
	case d.opts.Launcher != nil:
		d.all(a, in, "TASK_KILLING")
		d.opts.Launcher.Kill(in.launchID(a))
	case d.opts.Auto:
		d.all(a, in, "TASK_KILLING")
		d.all(a, in, "TASK_KILLED")
	default:
		d.all(a, in, "TASK_KILLING")
	}
}

// all gives all tasks of an instance one state.
func (d *Double) all(a *app, in *instance, state string) {
	for _, t := range in.tasks {
		d.become(a, in, t, state, "")
	}
}

// wipe forgets an instance whose tasks are being killed.
func (d *Double) wipe(a *app, in *instance) {
	d.tellInstance(a, in)
	in.condition = "Killed"
	d.tellInstance(a, in)
	d.expunge(a, in)
	d.killTasks(a, in)
}

func (d *Double) newInstance(a *app) {
	in := &instance{
		id: strings.ReplaceAll(strings.Trim(a.id, "/"), "/", "_") + ".instance-" + uuid.NewString(), attempt: 1, version: a.version,
		condition: scheduled, since: time.Now().UTC(), tasks: []*task{{}},
	}
	if a.pod {
		in.tasks = nil
		for _, name := range a.containers() {
			in.tasks = append(in.tasks, &task{container: name})
		}
	}
	d.byInstance[in.id], d.owners[in.id] = in, a
	a.instances = append(a.instances, in)
	d.waiting[in.id] = true
	d.tellInstance(a, in)
}

// launchWaiting launches the instances of an app that wait for an offer.
func (d *Double) launchWaiting(a *app) {
	if d.opts.Offers {
		return
	}
	for _, in := range slices.Clone(a.instances) {
		if d.waiting[in.id] && !in.goalStop {
			if host := d.place(a); host != "" {
				d.launch(a, in, host)
			}
		}
	}
}

// Offer has an instance that waits for an offer launched on a host, where the double
// does not do that by itself (Options.Offers).
func (d *Double) Offer(instance, host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	in, a := d.byInstance[instance], d.owners[instance]
	if in == nil || !d.waiting[instance] {
		return false
	}
	d.launch(a, in, host)
	return true
}

// launch launches an instance, again if need be.
func (d *Double) launch(a *app, in *instance, host string) {
	delete(d.waiting, in.id)
	if in.host != "" {
		in.attempt++
		for _, t := range in.tasks {
			t.state = ""
		}
	}
	d.port++
	now := time.Now().UTC()
	in.host, in.agent, in.staged, in.started, in.since, in.condition = host, "agent-"+host, now, time.Time{}, now, provisioned
	in.port, in.healthy, in.reached = 10000+d.port%20000, nil, false
	for _, t := range in.tasks {
		t.since = now
	}
	d.tellInstance(a, in)
	d.announce()
	if l := d.opts.Launcher; l != nil {
		definition := a.shown(a.pod)
		l.Launch(Launch{Task: in.launchID(a), App: a.id, Host: host, Definition: must(definition), Pod: a.pod})
	} else if d.opts.Auto {
		d.all(a, in, "TASK_STARTING")
		d.all(a, in, "TASK_RUNNING")
	}
}

// place chooses a host: the one that a constraint names, or the next.
func (d *Double) place(a *app) string {
	constraints, _ := a.raw["constraints"].([]any)
	for _, c := range constraints {
		parts, _ := c.([]any)
		if len(parts) != 3 || parts[0] != "hostname" && parts[0] != "@hostname" {
			continue
		}
		host, _ := parts[2].(string)
		if slices.Contains(d.opts.Hosts, host) {
			return host
		}
		return ""
	}
	host := d.opts.Hosts[d.next%len(d.opts.Hosts)]
	d.next++
	return host
}
