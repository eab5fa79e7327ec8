package cluster

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Move puts a dataset on another node, as Flocker's REST API does. Without a
// node it changes nothing.
type Move struct {
	At      time.Time
	Expect  Expect
	By      Actor
	ID      api.DatasetID
	Primary api.NodeID
}

// Apply decides the command.
func (c Move) Apply(s *State) (Outcome, error) {
	if err := c.Expect.Check(s); err != nil {
		return Outcome{}, err
	}
	d, err := s.live(c.ID)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.checkManage(d, c.By, "move"); err != nil {
		return Outcome{}, err
	}
	settled := d.Primary == c.Primary && d.Pinned && (d.HeldBy(c.Primary) || !s.free(d))
	if c.Primary == "" || settled {
		return Outcome{Dataset: d}, nil
	}
	if s.shutOut(d, c.Primary) {
		n := s.Node(c.Primary)
		return Outcome{}, zoneErrorf("volume %s is in zone %s, and %s in zone %s, where it can never be attached: choose a node of zone %s",
			nameOf(d), d.Volume.Zone, n.Name(), n.Zone, d.Volume.Zone)
	}
	if err := s.checkDraining(c.Primary); err != nil {
		return Outcome{}, err
	}
	free := s.free(d)
	d = s.draft(d)
	d.Primary, d.Pinned, d.Reclaim = c.Primary, true, nil
	if free && !d.HeldBy(c.Primary) {
		grant(d, c.Primary, c.At)
	}
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}
