package cluster

import (
	"cmp"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// The rules of what belongs to one owner only: a volume to a dataset, an instance
// to a node. An agent is believed about neither when the log knows another owner.

// belonging is an entry of an index of nodes by something that they announce.
type belonging struct {
	what string
	node api.NodeID
}

func (b belonging) before(other belonging) bool {
	return cmp.Or(cmp.Compare(b.what, other.what), cmp.Compare(b.node, other.node)) < 0
}

// instanceKey is an instance's name without the differences that storage systems
// ignore, so that no spelling makes two instances of one.
func instanceKey(instance string) string { return strings.ToLower(strings.TrimSpace(instance)) }

// volumeKey is a volume's name in the index of volumes, "" for no volume. The backend
// is no part of it: an agent could give the backend another name.
func volumeKey(v *api.Volume) string {
	if v == nil || v.ID == "" {
		return ""
	}
	return strings.ToLower(v.ID)
}

// indexVolume moves a dataset's entry in the index of volumes from old to d. A
// volume stays with the first dataset that registered it.
func (s *State) indexVolume(old, d *api.Dataset) {
	var was, is string
	if old != nil {
		was = volumeKey(old.Volume)
	}
	if d != nil {
		is = volumeKey(d.Volume)
	}
	if was == is {
		return
	}
	if of, ok := s.volumes.Get(was); ok && of == old.ID {
		s.volumes.Delete(was)
	}
	if _, taken := s.volumes.Get(is); is != "" && !taken {
		s.volumes.Set(is, d.ID)
	}
}

// VolumeOwner returns the dataset that a volume is registered for, nil if there is
// none. Deleted and destroyed datasets are found until they are pruned.
func (s *State) VolumeOwner(v *api.Volume) *api.Dataset {
	if id, ok := s.volumes.Get(volumeKey(v)); ok {
		return s.Dataset(id)
	}
	return nil
}

// checkOwner reports why a volume cannot be registered for a dataset: it belongs
// to another one. A volume that is called like another dataset is that one's, as
// on storage systems that name volumes after their datasets.
func (s *State) checkOwner(d *api.Dataset, v *api.Volume) error {
	owner := s.VolumeOwner(v)
	if owner == nil {
		owner = s.Dataset(api.DatasetID(strings.ToLower(v.ID)))
	}
	if owner == nil || owner.ID == d.ID {
		return nil
	}
	return &api.Error{Code: api.CodeConflict, Field: fieldVolume, Message: "volume " + v.ID + " of backend " + v.Backend +
		" belongs to dataset " + string(owner.ID) + " and cannot be registered for dataset " + string(d.ID) +
		": look at the node that reported it"}
}

// drives reports whether a node is there that drives a backend.
func (s *State) drives(backend string) bool {
	for n := range s.Nodes() {
		if strings.EqualFold(n.Backend, backend) {
			return true
		}
	}
	return false
}

// NodeByEra returns the node that announced an era, nil if there is none. Where
// several did, it is the connected one; two connected nodes cannot be told apart.
func (s *State) NodeByEra(era string) *api.Node {
	var found, lost *api.Node
	ambiguous := false
	s.each(s.eras.Ascend, era, func(n *api.Node) bool {
		switch {
		case !n.Connected && lost == nil:
			lost = n
		case n.Connected && found != nil:
			ambiguous = true
		case n.Connected:
			found = n
		}
		return !ambiguous
	})
	switch {
	case ambiguous:
		return nil
	case found != nil:
		return found
	default:
		return lost
	}
}

// each yields the nodes of an index that have something.
func (s *State) each(ascend func(belonging, func(belonging) bool), what string, yield func(*api.Node) bool) {
	ascend(belonging{what: what}, func(b belonging) bool {
		return b.what == what && yield(s.Node(b.node))
	})
}

// otherOfInstance returns another node that has an instance, nil if there is none.
func (s *State) otherOfInstance(node api.NodeID, instance string) (other *api.Node) {
	if instance == "" {
		return nil
	}
	s.each(s.instances.Ascend, instanceKey(instance), func(n *api.Node) bool {
		if n.ID != node {
			other = n
		}
		return other == nil
	})
	return other
}

// checkInstance reports why a node's agent cannot say that it runs on an instance.
// Fencing stops and detaches instances, so a node takes over neither another node's
// instance nor a new one by its own word.
func (s *State) checkInstance(node api.NodeID, instance string) error {
	if other := s.otherOfInstance(node, instance); other != nil {
		return &api.Error{Code: api.CodeConflict, Field: fieldInstance, Message: "instance " + instance + " belongs to node " + string(other.ID) +
			" (" + other.Name() + "), and not to node " + string(node) + ": an instance has one node. If the machine changed its node certificate, run " +
			"flocker nodes allow-instance " + string(node) + " " + instance}
	}
	old := s.Node(node)
	if old == nil || old.Instance == "" || instanceKey(old.Instance) == instanceKey(instance) {
		return nil
	}
	if old.AllowedInstance != "" && instanceKey(old.AllowedInstance) == instanceKey(instance) {
		return nil
	}
	return &api.Error{Code: api.CodeConflict, Field: fieldInstance, Message: "node " + string(node) + " (" + old.Name() + ") runs on instance " + old.Instance +
		", and its agent now says " + quoted(instance) + ": if the node moved to another machine and the old one is off, run " +
		"flocker nodes allow-instance " + string(node) + " " + instance}
}

func quoted(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

const (
	fieldVolume   = "volume"
	fieldInstance = "instance"
)
