package follow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
	"github.com/flocker-mesos/flocker/marathon/client"
)

// Sighting is an app or a pod as Marathon has it at one moment.
type Sighting struct {
	ID        string
	Pod       bool
	Version   string
	Wanted    int
	Zone      string // in which alone it may run, "" for any
	Role      string // of Mesos, for which it asks for volumes
	Volumes   []marathon.Volume
	Mistake   string // why these are not all
	Instances []api.AppInstance
	// AtRest says that no deployment is changing it.
	AtRest bool
	// texts are what its definition says where it has a mistake: what it asks for
	// may be among them.
	texts []string
}

// asks reports whether it asks for volumes, or seems to.
func (s *Sighting) asks() bool { return len(s.Volumes) > 0 || s.Mistake != "" }

// mayMean reports whether a definition with a mistake may ask for a dataset.
func (s *Sighting) mayMean(name string) bool {
	if s.Mistake == "" {
		return false
	}
	return strings.HasPrefix(name, strings.ReplaceAll(strings.Trim(s.ID, "/"), "/", ".")+".") ||
		slices.ContainsFunc(s.texts, func(text string) bool { return strings.Contains(text, name) })
}

// Snapshot is all of Marathon at one moment: it was read from a leader that was
// there all the while.
type Snapshot struct {
	Framework string // Mesos' id of this Marathon
	Role      string // of apps that have none of their own
	Leader    string
	Version   string
	Began     time.Time // when reading it began
	Apps      map[string]*Sighting
	Stops     map[string]bool // what a deployment is destroying
}

// foreign reports whether another Marathon had an app when it was last seen: another
// cluster's, or this one before it lost its records.
func (s *Snapshot) foreign(app *api.App) bool { return app.Framework != s.Framework }

// seenApp returns an app as it is.
func seenApp(a *marathon.App) *Sighting {
	s := &Sighting{ID: a.ID, Version: a.Version, Wanted: a.Count(), Zone: a.Zone(), Role: a.Role, AtRest: len(a.Deployments) == 0}
	volumes, err := a.Volumes()
	s.volumes(volumes, err, a.Labels)
	if !s.asks() {
		return s
	}
	for _, t := range a.Tasks {
		since := t.StartedAt
		if since.IsZero() {
			since = t.StagedAt
		}
		s.Instances = append(s.Instances, api.AppInstance{ID: t.ID, State: t.State, Host: t.Host, Since: since.UTC()})
	}
	return s
}

// seenPod returns a pod as it is. It counts as being deployed, until somebody knows
// what deployments there are.
func seenPod(p *client.PodStatus) *Sighting {
	s := &Sighting{ID: cmp.Or(p.ID, p.Spec.ID), Pod: true, Version: p.Spec.Version, Wanted: p.Spec.Count(), Zone: p.Spec.Zone(), Role: p.Spec.Role}
	p.Spec.ID = s.ID
	volumes, err := p.Spec.Volumes()
	texts := maps.Clone(p.Spec.Labels)
	if texts == nil {
		texts = map[string]string{}
	}
	for i, c := range p.Spec.Containers {
		for key, value := range c.Labels {
			texts[fmt.Sprintf("%d.%s", i, key)] = value
		}
	}
	s.volumes(volumes, err, texts)
	if !s.asks() {
		return s
	}
	for _, i := range p.Instances {
		s.Instances = append(s.Instances, api.AppInstance{ID: i.ID, State: podState(i), Host: i.Host, Since: i.StatusSince.UTC()})
	}
	return s
}

// podState is Mesos' word for how an instance of a pod is.
func podState(i client.PodInstance) string {
	for _, c := range i.Containers {
		if c.Status == api.TaskUnreachable || c.Status == api.TaskKilling {
			return c.Status
		}
	}
	switch i.Status {
	case "PENDING", "STAGING":
		return api.TaskStaging
	case "TERMINAL":
		return "TASK_FINISHED"
	default:
		return api.TaskRunning
	}
}

func (s *Sighting) volumes(volumes []marathon.Volume, err error, labels map[string]string) {
	s.Volumes = volumes
	if err == nil {
		return
	}
	s.Mistake = err.Error()
	s.texts = slices.Collect(maps.Values(labels))
}
