package cluster

import (
	"fmt"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of zones. Where a storage system binds volumes to zones, a node of
// another zone can never have one attached: so it never gets the token, nor a
// place in the queue, and is nobody to say how the volume is.

// apart reports whether a node is known to be in another zone than a dataset's
// volume.
func (s *State) apart(d *api.Dataset, node api.NodeID) bool {
	n := s.Node(node)
	return n != nil && api.Apart(d.Volume, n.Zone)
}

// shutOut reports whether a node that wants a dataset now must not have it. It may try to
// get what nobody has where no node is in the volume's zone any more: operators have
// given the zone another name. The node finds the volume and tells where it is, or
// it does not find it.
func (s *State) shutOut(d *api.Dataset, node api.NodeID) bool {
	return s.apart(d, node) && (!s.free(d) || !s.deserted(d.Volume.Zone))
}

// deserted reports whether no node was in a zone when it was last there.
func (s *State) deserted(zone string) bool {
	for n := range s.Nodes() {
		if n.Zone == zone {
			return false
		}
	}
	return true
}

// checkZone refuses a claim that can never be met.
func (s *State) checkZone(d *api.Dataset, node api.NodeID) error {
	if !s.shutOut(d, node) {
		return nil
	}
	n := s.Node(node)
	return zoneErrorf("volume %s is in zone %s, and %s in zone %s, where it can never be attached: keep the app in the volume's zone, by the constraint %s",
		nameOf(d), d.Volume.Zone, n.Name(), n.Zone, api.ZoneConstraint(d.Volume.Zone))
}

func zoneErrorf(format string, args ...any) error {
	return &api.Error{Code: api.CodeConflict, Field: api.FieldZone, Message: fmt.Sprintf(format, args...)}
}

// sees reports whether what a node says of a volume, and that it is gone, is to be
// believed: the node drives the volume's backend and, where the volume is bound to
// a zone, is known to be there.
func sees(n *api.Node, v *api.Volume) bool {
	if v == nil {
		return true
	}
	return (v.Zone == "" || n.Zone == v.Zone) && (v.Backend == "" || n.Backend == "" || n.Backend == v.Backend)
}

// seesAsHolder is sees also for a volume that the holder may have made without
// having come to register it.
func seesAsHolder(n *api.Node, v *api.Volume, holder *api.Node) bool {
	if v == nil && slices.Contains(holder.Capabilities, api.CapabilityZones) {
		return n.Zone == holder.Zone
	}
	return sees(n, v)
}

// hopeless reports whether a waiter may not have a volume, or not pre-empt it: it began
// to wait before the volume's zone or the node's was known, or its owner has lost the
// right since, as the volume was given to another owner or is no longer shared.
func (s *State) hopeless(d *api.Dataset, w api.Waiter) bool {
	by := Actor{Owner: w.Owner}
	return s.apart(d, w.Node) || !s.MayUse(d, by) || w.Preempt && !s.mayManage(d, by)
}

// astray reports whether a volume has hopeless waiters.
func (s *State) astray(d *api.Dataset) bool {
	return slices.ContainsFunc(d.Waiting, func(w api.Waiter) bool { return s.hopeless(d, w) })
}

// sendHome drops hopeless waiters from a draft. Their nodes ask again, and are refused
// with the reason.
func (s *State) sendHome(d *api.Dataset) {
	d.Waiting = slices.DeleteFunc(d.Waiting, func(w api.Waiter) bool { return s.hopeless(d, w) })
	if len(d.Waiting) == 0 {
		d.Waiting = nil
	}
}

// settleInZone has a draft's volume, whose zone has just become known, stay where it
// is, if a user has moved it to another zone meanwhile.
func (s *State) settleInZone(d *api.Dataset) {
	s.sendHome(d)
	if d.Pinned && s.apart(d, d.Primary) && !d.HeldBy(d.Primary) {
		d.Pinned, d.Primary = false, d.Holder.Node
	}
}
