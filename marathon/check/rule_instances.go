package check

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

func lookInstances(p *probe) {
	if p.instances <= 1 {
		return
	}
	var names []string
	external := false
	for _, v := range p.volumes {
		if v.Each == 0 {
			names = append(names, v.Name)
			external = external || v.Form != marathon.FormLabels
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	names = slices.Compact(names)
	_, oneMachine := p.host()
	switch {
	case oneMachine && p.readOnly() && !external:
	case oneMachine && !external:
		p.as(Warning).find(pointer(p.at.instances...), remedy{}, "all %d instances write to %s, on one machine", p.instances, list(names))
	case external:
		p.find(pointer(p.at.instances...), remedy{text: "set instances to 1: Marathon refuses more with an external volume"},
			"%d instances share %s", p.instances, list(names))
	default:
		p.find(pointer(p.at.instances...), remedy{}, "%d instances share %s", p.instances, list(names))
	}
}

func list(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func lookMembers(p *probe) {
	for _, v := range p.volumes {
		if v.Each <= 0 || v.Each >= p.instances {
			continue
		}
		r := remedy{}
		at := tokensOf(v.at)
		if at[len(at)-1] += ".each"; p.has(at...) {
			r.patch = p.set(text(strconv.Itoa(p.instances)), at...)
		}
		p.find(v.at, r, "%s has %d members for %d instances", v.Name, v.Each, p.instances)
	}
}

func lookUnfollowed(p *probe) {
	for _, v := range p.volumes {
		if p.context.Unfollowed && v.Each == api.EachInstance {
			p.find(p.setting(v, "each"), remedy{}, "%s has as many members as the app has instances, and their number is not known", v.Name)
		}
	}
}

// strategy returns what holds: what is given, or Marathon's default.
func (w *workload) strategy() (least, over float64, given bool) {
	least, over = 1, 1
	if w.hasExternal() || w.resident() {
		least, over = 0.5, 0
	}
	if w.upgrade == nil {
		return least, over, false
	}
	if w.upgrade.MinimumHealthCapacity != nil {
		least = *w.upgrade.MinimumHealthCapacity
	}
	if w.upgrade.MaximumOverCapacity != nil {
		over = *w.upgrade.MaximumOverCapacity
	}
	return least, over, true
}

// hasExternal reports whether the app has an external volume, ours or another.
func (w *workload) hasExternal() bool {
	return w.app != nil && w.app.Container != nil &&
		slices.ContainsFunc(w.app.Container.Volumes, func(v marathon.ContainerVolume) bool { return v.External != nil })
}

// resident reports whether the app is bound to a machine by a volume on its disk.
func (w *workload) resident() bool { return w.app != nil && w.app.Resident() }

// capacities returns how many instances Marathon keeps at least, and has at most,
// during a deployment. Where both are the same it starts one more.
func capacities(instances int, least, over float64) (minimum, maximum int) {
	minimum = int(math.Ceil(float64(instances) * least))
	maximum = int(float64(instances) * (1 + over))
	if minimum == maximum {
		maximum++
	}
	return minimum, maximum
}

// members returns how many instances can have their volumes at a time.
func (w *workload) members() int {
	most := math.MaxInt
	for _, v := range w.volumes {
		switch v.Each {
		case 0:
			most = min(most, 1)
		case api.EachInstance:
			most = min(most, max(w.instances, 1))
		default:
			most = min(most, v.Each)
		}
	}
	return most
}

func lookUpgrade(p *probe) {
	if len(p.volumes) == 0 {
		return
	}
	least, over, given := p.strategy()
	says := fmt.Sprintf("minimumHealthCapacity is %v and maximumOverCapacity is %v", least, over)
	if !given {
		says = fmt.Sprintf("there is no %s, and by Marathon's default %s", strings.Join(p.at.upgrade, "."), says)
	}
	at := pointer(p.at.upgrade...)
	if p.isSet() && p.instances > 1 {
		p.upgradeSet(at, says, least, over)
		return
	}
	if _, one := p.host(); one && p.instances > 1 {
		return // all of them share the volume on one machine
	}
	r := remedy{text: "set both to 0", patch: p.set([]byte(`{"minimumHealthCapacity":0,"maximumOverCapacity":0}`), p.at.upgrade...)}
	switch {
	case least == 0 && over == 0:
	case (given || p.resident()) && !p.Pod && p.app.Labels[singleInstance] == "true":
		p.find(at, r, "%s, and with %s Marathon takes 0 and 0 alone", says, singleInstance)
	case over == 0 && p.resident():
		// Of apps that are bound to a machine Marathon kills the old instance first.
	case over > 0 && p.hasExternal():
		p.find(at, r, "%s, and Marathon refuses a maximumOverCapacity above 0 with an external volume", says)
	case least == 0:
		p.as(Warning).find(at, r, "%s: Marathon may start the new instance before the old one has ended, and it waits for the volume", says)
	default:
		p.find(at, r, "%s: Marathon starts a new instance and waits for it before it kills the old one, which has the volume", says)
	}
}

// upgradeSet looks at a volume set, whose instances can be replaced one after the
// other: an instance has to end before there is a free member.
func (p *probe) upgradeSet(at, says string, least, over float64) {
	minimum, maximum := capacities(p.instances, least, over)
	members := p.members()
	if minimum < p.instances && maximum <= members {
		return
	}
	mended := least
	if minimum >= p.instances {
		mended = 0.5
	}
	value := fmt.Sprintf(`{"minimumHealthCapacity":%v,"maximumOverCapacity":0}`, mended)
	r := remedy{
		text:  fmt.Sprintf("set minimumHealthCapacity to %v and maximumOverCapacity to 0", mended),
		patch: p.set([]byte(value), p.at.upgrade...),
	}
	if maximum <= members {
		p.as(Warning).find(at, r, "%s: Marathon starts up to %d instances during a deployment, and none of the old ones ends before: "+
			"so the new ones get other members of the %d than those had, with other data or none", says, maximum, members)
		return
	}
	p.find(at, r, "%s: Marathon starts up to %d instances during a deployment, and there are %d members, of which the old ones "+
		"have all", says, max(maximum, p.instances), members)
}

func lookAllAtOnce(p *probe) {
	least, over, given := p.strategy()
	if minimum, _ := capacities(p.instances, least, over); given && p.isSet() && p.instances > 1 && minimum == 0 {
		p.find(pointer(p.at.upgrade...), remedy{}, "minimumHealthCapacity is 0, with %d instances", p.instances)
	}
}

// singleInstance is the label by which Marathon refuses a second instance.
const singleInstance = "MARATHON_SINGLE_INSTANCE_APP"

func lookSingle(p *probe) {
	if p.Pod || !slices.ContainsFunc(p.volumes, func(v volume) bool { return v.Form == marathon.FormLabels }) {
		return
	}
	value, there := p.app.Labels[singleInstance]
	at := []string{"labels", singleInstance}
	if p.instances > 1 || p.isSet() {
		if p.instances > 1 && value == "true" && p.isSet() {
			p.as(Error).find(pointer(at...), remedy{text: "remove the label", patch: p.remove(at...)},
				"Marathon refuses %d instances with %s", p.instances, singleInstance)
		}
		return
	}
	switch {
	case value == "true":
	case there:
		p.find(pointer(at...), remedy{text: `write "true"`, patch: p.set(text("true"), at...)},
			"%s is %s, and has an effect as \"true\" alone", singleInstance, strconv.Quote(value))
	default:
		for _, l := range listed(p.app.Labels) {
			if bare := bareKey(l.Key); strings.Contains(bare, "singleinstance") || near(bare, bareKey(singleInstance)) {
				at := []string{"labels", l.Key}
				p.find(pointer(at...), remedy{text: "write " + singleInstance, patch: p.rename(singleInstance, at...)},
					"%s is none of Marathon's labels; %s is", strconv.Quote(l.Key), singleInstance)
				return
			}
		}
		p.find("/labels", remedy{patch: p.set(text("true"), at...)}, "the label %s is missing", singleInstance)
	}
}
