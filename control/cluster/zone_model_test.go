package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// modelZones is a storage system that binds volumes to the zone of who makes them: to
// nodes of other zones it shows none of them. What agents tell of their zones changes,
// since older ones tell nothing. Nil is a storage system without zones.
type modelZones struct {
	told    map[api.NodeID]bool
	volumes map[api.DatasetID]string
}

var modelZone = map[api.NodeID]string{"a": "east", "b": "east", "c": "west"}

func newModelZones() *modelZones {
	return &modelZones{told: map[api.NodeID]bool{"a": true, "b": true, "c": true}, volumes: map[api.DatasetID]string{}}
}

// admits makes a volume where there is none, and reports whether the storage system
// attaches it to who asks.
func (z *modelZones) admits(w *world, a *modelAgent, id api.DatasetID) bool {
	if z == nil {
		return true
	}
	if _, attached := w.attached[id]; z.volumes[id] == "" || w.s.Dataset(id).Volume == nil && !attached {
		// One in another zone that was never registered nobody has used.
		z.volumes[id] = modelZone[a.node]
	}
	if !z.shows(a, id) {
		w.seen["refused in another zone"]++
		return false
	}
	return true
}

// shows reports whether an agent sees a volume, if there is one.
func (z *modelZones) shows(a *modelAgent, id api.DatasetID) bool { return !z.apart(a.node, id) }

func (z *modelZones) apart(node api.NodeID, id api.DatasetID) bool {
	return z != nil && z.volumes[id] != "" && z.volumes[id] != modelZone[node]
}

func (z *modelZones) tells(node api.NodeID) string {
	if z == nil || !z.told[node] {
		return ""
	}
	return modelZone[node]
}

func (z *modelZones) capabilities(node api.NodeID) []string {
	if z.tells(node) == "" {
		return nil
	}
	return []string{api.CapabilityZones}
}

func (z *modelZones) ofVolume(a *modelAgent, id api.DatasetID) string {
	if z.tells(a.node) == "" {
		return ""
	}
	return z.volumes[id]
}

func (z *modelZones) tellAll() {
	if z != nil {
		for node := range modelZone {
			z.told[node] = true
		}
	}
}

// unservable reports whether a consumer can have no member of its set in its zone.
func (z *modelZones) unservable(w *world, a *modelAgent, c *modelConsumer) bool {
	if z == nil {
		return false
	}
	if c.member != "" {
		return z.apart(a.node, c.member)
	}
	members := slices.Collect(w.s.Members(c.set))
	return len(members) >= modelEach && !slices.ContainsFunc(members, func(d *api.Dataset) bool { return !z.apart(a.node, d.ID) })
}

// checkZones reports when a node gets a volume, or a place in its queue, or has to fence
// who has it, that is known to be in another zone.
func checkZones(old, s *cluster.State) error {
	for is := range s.Datasets() {
		was := old.Dataset(is.ID)
		if is.Holder != nil && (was == nil || was.Holder == nil || was.Epoch < is.Epoch) && inOtherZone(s, is, is.Holder.Node) &&
			(!deserted(s, is.Volume.Zone) || was != nil && was.Holder != nil && s.Node(was.Holder.Node) != nil) {
			return fmt.Errorf("dataset %s is in zone %s and given to %s", is.ID, is.Volume.Zone, is.Holder.Node)
		}
		for _, w := range is.Waiting {
			if (was == nil || !was.AwaitedBy(w.Node)) && inOtherZone(s, is, w.Node) {
				return fmt.Errorf("dataset %s is in zone %s and %s waits for it", is.ID, is.Volume.Zone, w.Node)
			}
		}
		if f := is.Fence; f != nil && !f.Begun && is.Volume != nil && is.Volume.Zone != "" && s.Node(f.Node).Zone != is.Volume.Zone && !s.Due() {
			return fmt.Errorf("dataset %s is in zone %s and %s fences who has it", is.ID, is.Volume.Zone, f.Node)
		}
	}
	return nil
}

// deserted reports whether no node tells that it is in a zone.
func deserted(s *cluster.State, zone string) bool {
	for n := range s.Nodes() {
		if n.Zone == zone {
			return false
		}
	}
	return true
}

func inOtherZone(s *cluster.State, d *api.Dataset, node api.NodeID) bool {
	n := s.Node(node)
	return n != nil && api.Apart(d.Volume, n.Zone)
}

// zoned adds to actions that agents begin and cease to tell their zones, as their
// versions do.
func zoned(actions func(*world) map[string]func(*rapid.T)) func(*world) map[string]func(*rapid.T) {
	return func(w *world) map[string]func(*rapid.T) {
		all := actions(w)
		all["agent of another version"] = func(t *rapid.T) {
			a := w.anyAgent(t)
			w.zones.told[a.node] = rapid.IntRange(0, 3).Draw(t, "tells") > 0
			w.connect(a, true)
		}
		return all
	}
}

func TestNoNodeIsGivenAVolumeOfAnotherZone(t *testing.T) {
	playAll(t, []string{
		"attached", "waited", "handed over", "registered", "destroyed", "taken from a lost node", "refused in another zone",
	}, func(t *rapid.T, seen map[string]int) { liveIn(t, newModelZones(), zoned((*world).actions), seen) })
}

func TestInstancesGetMembersOfTheirZone(t *testing.T) {
	playAll(t, []string{"served", "waited for", "served to who waited", "taken from a lost node"},
		func(t *rapid.T, seen map[string]int) { liveIn(t, newModelZones(), (*world).setActions, seen) })
}
