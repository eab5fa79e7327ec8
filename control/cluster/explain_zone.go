package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// apart reports whether a node is known to be in another zone than the volume.
func (e *explanation) apart(id api.NodeID) bool {
	n := e.node(id)
	return n != nil && api.Apart(e.d.Volume, n.Zone)
}

// inZone says that nodes of the volume's zone are meant, where it is bound to one.
func (e *explanation) inZone() string {
	if e.d.Volume == nil || e.d.Volume.Zone == "" {
		return ""
	}
	return " of zone " + e.d.Volume.Zone
}

// strayed reports whether a user has put it on a node of another zone.
func (e *explanation) strayed() bool { return e.away() && e.apart(e.d.Primary) }

// keptInZone says how an app is kept where its volume can be.
func (e *explanation) keptInZone() {
	if zone := e.inZone(); zone != "" {
		e.say("A node of another zone is refused: keep its app there by the constraint %s.", api.ZoneConstraint(e.d.Volume.Zone))
	}
}

// outside says so where the volume was given to a node of another zone: one whose zone
// was not known then, or that has been moved.
func (e *explanation) outside(holder *api.Node) bool {
	switch e.st.Phase {
	case api.PhaseDetached, api.PhaseElsewhere, api.PhaseVanished, api.PhaseNonExistent, api.PhaseUnknown:
	default:
		return false // it is there, whatever the zones are called
	}
	if !api.Apart(e.d.Volume, holder.Zone) {
		return false
	}
	e.say("%s belongs to %s %s, but its volume %s is in zone %s and %s in zone %s, where it can never be attached: keep its app in the volume's zone, "+
		"by the constraint %s.", e.name(), nodeText(holder), e.at(e.d.Holder.Since), e.volume(), e.d.Volume.Zone, holder.Name(), holder.Zone,
		api.ZoneConstraint(e.d.Volume.Zone))
	return true
}

// otherZones names members of a set that are free, but in another zone than the waiter.
func (e *explanation) otherZones(s *State, set string, w api.SetWaiter) {
	var free, zones []string
	for d := range s.Members(set) {
		if !s.unused(d) || !s.shutOut(d, w.Node) || w.Index != nil && *w.Index != d.Member.Index {
			continue
		}
		free = append(free, nameOf(d))
		if !slices.Contains(zones, d.Volume.Zone) {
			zones = append(zones, d.Volume.Zone)
		}
	}
	if len(free) == 0 {
		return
	}
	const shown = 3
	rest := ""
	if len(free) > shown {
		free, rest = free[:shown], ", ..."
	}
	e.say("%s%s: free, but in zone %s, and %s is in zone %s: an instance in their zone can have them.",
		strings.Join(free, ", "), rest, strings.Join(zones, ", "), e.nodeName(w.Node), e.node(w.Node).Zone)
}

// ExplainPlaces says where Marathon has put instances of an app that can never have its
// dataset there, "" where that is nowhere.
func (s *State) ExplainPlaces(a *api.App, d *api.Dataset) string {
	var said []string
	for _, i := range a.Instances {
		if n := s.Node(i.Node); n != nil && s.apart(d, n.ID) && d.Member == nil {
			said = append(said, fmt.Sprintf("Marathon has put the instance %s on %s, which is in zone %s, where the volume, which is in zone %s, can never be attached: "+
				"keep the app in the volume's zone, by the constraint %s.", i.ID, n.Name(), n.Zone, d.Volume.Zone, api.ZoneConstraint(d.Volume.Zone)))
		}
	}
	return strings.Join(said, " ")
}
