package check

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/marathon"
)

// Settings that apps have elsewhere than pods, and which way round.
var (
	inPods = map[string][]string{
		"instances": {"scaling", "instances"}, "upgradeStrategy": {"scheduling", "upgrade"}, "env": {"environment"},
		"unreachableStrategy": {"scheduling", "unreachableStrategy"}, "constraints": {"scheduling", "placement", "constraints"},
		"backoffSeconds": {"scheduling", "backoff", "backoff"}, "backoffFactor": {"scheduling", "backoff", "backoffFactor"},
		"maxLaunchDelaySeconds": {"scheduling", "backoff", "maxLaunchDelay"},
	}
	inApps = map[string][]string{"environment": {"env"}, "scheduling": {"upgradeStrategy"}, "scaling": {"instances"}}
)

// lookMisplaced finds settings of apps in a pod, and of pods in an app.
func (p *probe) lookMisplaced() {
	others, kind := inApps, "a pod's, and an app has"
	if p.Pod {
		others, kind = inPods, "an app's, and a pod has"
	}
	for i := range p.object.Members {
		name := textOf(&p.object.Members[i].Name)
		place := others[name]
		if place == nil || !p.ours() {
			continue
		}
		where := strings.Join(place, ".")
		r := remedy{text: "write " + where}
		switch {
		case p.has(place...):
			r.text = "remove it"
		case slices.Contains([]string{"upgradeStrategy", "unreachableStrategy", "env", "environment"}, name): // which look the same in both
			r.patch = append(p.set(p.object.Members[i].Value.Pack(), place...), p.remove(name)...)
		}
		p.find(pointer(name), r, "%s is %s %s", name, kind, where)
	}
}

// lookTaken finds volumes whose place in the container another one takes.
func lookTaken(p *probe) {
	for _, v := range p.volumes {
		if v.Form != marathon.FormLabels || v.Path == "" {
			continue
		}
		for _, other := range p.mounts(v.container) {
			switch ours, theirs := place(v.Path), place(other.path); {
			case ours == theirs:
				p.find(v.at, remedy{}, "the volume is at %s, and so is that of %s", v.Path, other.at)
			case strings.HasPrefix(theirs, ours+"/"):
				p.as(Warning).find(v.at, remedy{}, "the volume is at %s, and that of %s within it", v.Path, other.at)
			case strings.HasPrefix(ours, theirs+"/"):
				p.as(Warning).find(v.at, remedy{}, "the volume is at %s, within that of %s", v.Path, other.at)
			}
		}
	}
}

func place(at string) string { return path.Clean(at) }

// mounted is a place of a container that Marathon's own volumes take.
type mounted struct{ path, at string }

func (w *workload) mounts(container int) []mounted {
	var all []mounted
	if w.pod != nil {
		for i, m := range w.pod.Containers[container].Mounts {
			all = append(all, mounted{m.Path, pointer("containers", strconv.Itoa(container), "volumeMounts", strconv.Itoa(i))})
		}
	} else if w.app.Container != nil {
		for i, v := range w.app.Container.Volumes {
			all = append(all, mounted{v.ContainerPath, pointer("container", "volumes", strconv.Itoa(i))})
		}
	}
	return slices.DeleteFunc(all, func(m mounted) bool { return m.path == "" })
}

func lookResident(p *probe) {
	if len(p.volumes) == 0 || !p.resident() {
		return
	}
	for i, v := range p.app.Container.Volumes {
		if v.Persistent != nil {
			p.find(pointer("container", "volumes", strconv.Itoa(i)), remedy{}, "%s is on the disk of one machine", v.ContainerPath)
			return
		}
	}
}
