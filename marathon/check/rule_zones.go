package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

func lookZone(p *probe) {
	if p.lookApart() {
		return
	}
	zones := map[string]string{} // the first dataset in each
	p.eachDataset(func(_ volume, name string, d Dataset) {
		if d.Zone != "" && zones[d.Zone] == "" {
			zones[d.Zone] = name
		}
	})
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		name := zones[zone]
		switch against, bound := p.bound(zone); {
		case against != nil:
			p.find(against.at, remedy{text: fmt.Sprintf(`write [%q, "IS", %q]`, against.field, zone)},
				"%s is in zone %s, and the app may not run there: %s %s %s", name, zone, against.field, against.operator, against.value)
		case !bound && len(zones) == 1 && p.settled(zone) && !p.onOneHost():
			p.as(Warning).find(pointer(p.at.constraints...), remedy{
				text:  fmt.Sprintf("add %s, for which the Mesos agents need --domain, or the same of an attribute that they have", api.ZoneConstraint(zone)),
				patch: p.constrain(zone),
			}, "%s is in zone %s, and the app may run in others", name, zone)
		}
	}
}

// lookApart finds volumes that no machine can have together, and reports whether there
// are some.
func (p *probe) lookApart() (found bool) {
	type first struct{ name, zone string }
	together := map[int]first{} // by the number of the instance
	for _, v := range p.volumes {
		for i, name := range p.datasets(v) {
			zone := p.context.Datasets[name].Zone
			if zone == "" {
				continue
			}
			other, some := together[i]
			if !some {
				together[i] = first{name, zone}
			} else if other.zone != zone {
				found = true
				p.find(v.at, remedy{text: "copy one of them into the zone of the other, or have two apps use them"},
					"%s is in zone %s and %s in zone %s: no machine can have both", other.name, other.zone, name, zone)
				break
			}
		}
	}
	return found
}

// onOneHost reports whether the app is kept on a machine, whose zone nobody knows here.
func (w *workload) onOneHost() bool {
	name, _ := w.host()
	return name != ""
}

// settled reports whether all that the app asks for is in one zone: of a set whose
// members are not all made, those that are missing can be made in others.
func (p *probe) settled(zone string) bool {
	for _, v := range p.volumes {
		if v.Each == 0 {
			continue
		}
		for _, name := range p.datasets(v) {
			if p.context.Datasets[name].Zone != zone {
				return false
			}
		}
	}
	return true
}

// constrain makes the patch that keeps an app in a zone, nil where it says something
// about zones already, which may be meant otherwise.
func (p *probe) constrain(zone string) Patch {
	if slices.ContainsFunc(p.constraints, func(c constraint) bool { return marathon.IsZoneField(c.field) }) {
		return nil
	}
	one := json.RawMessage(api.ZoneConstraint(zone))
	if p.Pod {
		one = slices.Concat([]byte(`{"fieldName":`), text(marathon.DomainZone), []byte(`,"operator":"IS","value":`), text(zone), []byte("}"))
	}
	if len(p.constraints) > 0 {
		return p.insert(one, p.at.constraints...)
	}
	return p.set(slices.Concat([]byte("["), one, []byte("]")), p.at.constraints...)
}

// bound reports whether the app runs in a zone alone, or the constraint by which it
// does not run there.
func (w *workload) bound(zone string) (against *constraint, bound bool) {
	for i, c := range w.constraints {
		if !marathon.IsZoneField(c.field) {
			continue
		}
		switch admits, known := c.admits(zone); {
		case known && !admits:
			return &w.constraints[i], false
		case known && c.operator != "UNLIKE":
			bound = true
		}
	}
	return nil, bound
}

// admits reports whether a constraint lets instances run where its field has a value,
// and whether that is known: of GROUP_BY and its like it is not.
func (c constraint) admits(value string) (admits, known bool) {
	switch c.operator {
	case "IS", "CLUSTER":
		return c.value == value, c.value != ""
	case "LIKE", "UNLIKE":
		expression, err := regexp.Compile("^(?:" + c.value + ")$")
		if err != nil {
			return false, false // Java knows more than Go
		}
		return expression.MatchString(value) == (c.operator == "LIKE"), true
	}
	return false, false
}
