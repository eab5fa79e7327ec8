package agent

import (
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// capabilities returns what this node can have done with volumes and machines
// beyond what every backend does.
func (d Deps) capabilities(where zones) []string {
	var all []string
	add := func(capability string, has bool) {
		if has {
			all = append(all, capability)
		}
	}
	_, grows := d.Backend.(backend.Grower)
	_, witnesses := d.Backend.(backend.Witness)
	_, guards := d.Backend.(backend.Guard)
	add(api.CapabilityGrow, grows)
	add(api.CapabilityWitness, witnesses)
	add(api.CapabilityGuard, guards)
	add(api.CapabilityStop, d.stopper() != nil)
	add(api.CapabilityTrim, true)
	add(api.CapabilityZones, where.binds)
	return all
}

// stopper returns what stops lost machines: the operator's program, or else the
// backend; nil where nothing can.
func (d Deps) stopper() backend.Stopper {
	if d.Stopper != nil {
		return d.Stopper
	}
	stopper, _ := d.Backend.(backend.Stopper)
	return stopper
}
