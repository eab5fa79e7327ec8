package check

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

// workload is an app or a pod as the rules look at it: what the two have in common,
// and where each has it.
type workload struct {
	*Definition

	instances   int
	containers  []container
	volumes     []volume
	mistakes    []mistake
	constraints []constraint
	upgrade     *marathon.UpgradeStrategy
	unreachable *marathon.UnreachableStrategy
	backoff     backoff
	at          places
}

// places are where an app or a pod has its settings.
type places struct {
	instances, upgrade, unreachable, constraints []string
	backoff, factor, maxDelay                    []string
}

// container is what runs: an app has one.
type container struct {
	at     []string // of the container, none for an app
	name   string
	labels map[string]string // also those that it has from its pod
	own    map[string]string
	from   map[string]string // labels with almost our names, by the names that are meant
	env    map[string]any
	image  string
	text   string // of the command and its arguments
	grace  *float64
	graced []string // where the grace is
}

// volume is one that is asked for.
type volume struct {
	marathon.Volume

	at        string // the label or the entry that asks for it, a JSON pointer
	container int
}

// mistake is one in a label.
type mistake struct {
	at string
	*api.Error
}

// constraint is what an app writes as ["@zone", "IS", "a"].
type constraint struct {
	field, operator, value string

	at string // JSON pointer
}

type backoff struct{ seconds, factor, limit float64 }

// Marathon's defaults.
const (
	defaultBackoff = 1
	defaultFactor  = 1.15
	defaultLimit   = 300
)

func (d *Definition) workload() *workload {
	w := &workload{Definition: d}
	if d.Pod {
		w.readPod(d.pod)
	} else {
		w.readApp(d.app)
	}
	for i := range w.containers {
		w.readVolumes(i)
	}
	return w
}

func (w *workload) readApp(a *marathon.App) {
	w.at = places{
		instances: []string{"instances"}, upgrade: []string{"upgradeStrategy"}, unreachable: []string{"unreachableStrategy"},
		constraints: []string{"constraints"}, backoff: []string{"backoffSeconds"}, factor: []string{"backoffFactor"},
		maxDelay: []string{"maxLaunchDelaySeconds"},
	}
	w.instances, w.upgrade, w.unreachable = a.Count(), a.UpgradeStrategy, a.UnreachableStrategy
	w.backoff = newBackoff(a.BackoffSeconds, a.BackoffFactor, a.MaxLaunchDelay)
	for i, c := range a.Constraints {
		c = append(slices.Clone(c), "", "", "")
		w.constraints = append(w.constraints, constraint{c[0], strings.ToUpper(c[1]), c[2], pointer("constraints", strconv.Itoa(i))})
	}
	only := container{
		labels: a.Labels, own: a.Labels, env: a.Env, text: a.Cmd + " " + strings.Join(a.Args, " "), grace: a.KillGrace,
		graced: []string{"taskKillGracePeriodSeconds"},
	}
	if a.Container != nil && a.Container.Docker != nil {
		only.image = a.Container.Docker.Image
	}
	w.containers = []container{only}
	volumes, _ := a.Volumes() // the mistakes are found below
	for _, v := range volumes {
		if v.Form != marathon.FormLabels {
			at := pointer("container", "volumes", strings.Trim(strings.TrimPrefix(v.At, "container.volumes"), "[]"))
			w.volumes = append(w.volumes, volume{Volume: v, at: at})
		}
	}
}

func (w *workload) readPod(p *marathon.Pod) {
	w.at = places{
		instances: []string{"scaling", "instances"}, upgrade: []string{"scheduling", "upgrade"},
		unreachable: []string{"scheduling", "unreachableStrategy"}, constraints: []string{"scheduling", "placement", "constraints"},
		backoff: []string{"scheduling", "backoff", "backoff"}, factor: []string{"scheduling", "backoff", "backoffFactor"},
		maxDelay: []string{"scheduling", "backoff", "maxLaunchDelay"},
	}
	w.instances, w.backoff = p.Count(), newBackoff(nil, nil, nil)
	if s := p.Scheduling; s != nil {
		w.upgrade, w.unreachable = s.Upgrade, s.UnreachableStrategy
		if s.Backoff != nil {
			w.backoff = newBackoff(s.Backoff.Backoff, s.Backoff.Factor, s.Backoff.MaxLaunchDelay)
		}
		if s.Placement != nil {
			for i, c := range s.Placement.Constraints {
				at := pointer(append(slices.Clone(w.at.constraints), strconv.Itoa(i))...)
				w.constraints = append(w.constraints, constraint{c.Field, strings.ToUpper(c.Operator), c.Value, at})
			}
		}
	}
	for i, c := range p.Containers {
		at := []string{"containers", strconv.Itoa(i)}
		one := container{
			at: at, name: c.Name, own: c.Labels, labels: merged(p.Labels, c.Labels), env: merged(p.Environment, c.Environment),
			graced: slices.Concat(at, []string{"lifecycle", "killGracePeriodSeconds"}),
		}
		if c.Image != nil {
			one.image = c.Image.ID
		}
		if c.Exec != nil {
			one.text = c.Exec.Command.Shell + " " + strings.Join(c.Exec.Command.Argv, " ")
		}
		if c.Lifecycle != nil {
			one.grace = c.Lifecycle.KillGrace
		}
		w.containers = append(w.containers, one)
	}
}

// merged returns what a container of a pod has: its own win over the pod's.
func merged[V any](pod, own map[string]V) map[string]V {
	all := maps.Clone(pod)
	if all == nil {
		return own
	}
	maps.Copy(all, own)
	return all
}

// readVolumes reads what the labels and variables of a container ask for, as they are
// meant where they have mistakes.
func (w *workload) readVolumes(i int) {
	c := &w.containers[i]
	labels, from := meant(c.labels)
	c.from = from
	env := texts(c.env)
	for round := 0; ; round++ {
		requests, _, err := api.ParseVolumes(w.ID, listed(labels), listed(env))
		mistakes, _ := err.(api.Mistakes) //nolint:errorlint // ParseVolumes says that it is one
		w.addVolumes(i, requests)
		if round == 0 { // later ones are only about what was left out
			w.addMistakes(c, mistakes)
		}
		changed := false
		for _, m := range mistakes {
			_, isLabel := labels[m.Field]
			_, isVariable := env[m.Field]
			changed = changed || isLabel || isVariable
			delete(env, m.Field)
			if less, ok := without(labels[m.Field]); ok {
				labels[m.Field] = less
			} else {
				delete(labels, m.Field)
			}
		}
		if !changed {
			return
		}
	}
}

func (w *workload) addVolumes(container int, requests []api.VolumeRequest) {
	for _, r := range requests {
		w.volumes = append(w.volumes, volume{
			Volume: marathon.Volume{VolumeRequest: r, Form: marathon.FormLabels},
			at:     w.settingAt(&w.containers[container], api.LabelPrefix+r.Key), container: container,
		})
	}
}

// addMistakes notes mistakes, of those that containers of a pod share one.
func (w *workload) addMistakes(c *container, mistakes api.Mistakes) {
	for _, m := range mistakes {
		at := w.settingAt(c, m.Field)
		if !slices.ContainsFunc(w.mistakes, func(o mistake) bool { return o.at == at && o.Message == m.Message }) {
			w.mistakes = append(w.mistakes, mistake{at, m})
		}
	}
}

// settingAt returns where a label or a variable of a container is: its own, its
// pod's, or, for one that should be there, where it would be.
func (w *workload) settingAt(c *container, name string) string {
	if from := c.from[name]; from != "" {
		name = from
	}
	labels, env := "labels", "env"
	if w.Pod {
		env = "environment"
	}
	for _, at := range [][]string{
		append(slices.Clone(c.at), labels, name), append(slices.Clone(c.at), env, name), {labels, name}, {env, name},
	} {
		if w.has(at...) {
			return pointer(at...)
		}
	}
	return pointer(append(slices.Clone(c.at), labels)...)
}

func newBackoff(seconds, factor, limit *float64) backoff {
	value := func(p *float64, otherwise float64) float64 {
		if p == nil || math.IsNaN(*p) || *p < 0 {
			return otherwise
		}
		return *p
	}
	return backoff{value(seconds, defaultBackoff), value(factor, defaultFactor), value(limit, defaultLimit)}
}

func listed(labels map[string]string) []api.Label {
	all := make([]api.Label, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, api.Label{Key: key, Value: labels[key]})
	}
	return all
}

// texts leaves out what is no text, such as secrets.
func texts(env map[string]any) map[string]string {
	all := map[string]string{}
	for key, value := range env {
		if text, ok := value.(string); ok {
			all[key] = text
		}
	}
	return all
}

// ours reports whether the workload has anything to do with Flocker.
func (w *workload) ours() bool { return len(w.volumes) > 0 || len(w.mistakes) > 0 }

// isSet reports whether each instance has volumes of its own.
func (w *workload) isSet() bool {
	return len(w.volumes) > 0 && !slices.ContainsFunc(w.volumes, func(v volume) bool { return v.Each == 0 })
}

// host returns the machine that all instances run on: constraints can say that they
// share one, and also which one.
func (w *workload) host() (name string, one bool) {
	for _, c := range w.constraints {
		if c.field != "hostname" && c.field != "@hostname" {
			continue
		}
		switch {
		case c.operator == "CLUSTER", c.operator == "IS":
			return c.value, true
		case c.operator == "LIKE" && !strings.ContainsAny(c.value, `*+?|[](){}^$\`):
			return c.value, true
		}
	}
	return "", false
}

// readOnly reports whether no volume is written to.
func (w *workload) readOnly() bool {
	return !slices.ContainsFunc(w.volumes, func(v volume) bool { return !v.ReadOnly })
}
