package client

import (
	"maps"
	"slices"

	"github.com/flocker-mesos/flocker/api"
)

// merge collects events that nobody has taken yet into one.
type merge struct {
	welcome  *api.Welcome
	datasets map[api.DatasetID]*api.Dataset
	removed  map[api.DatasetID]bool
	leases   map[api.DatasetID]*api.Lease
	unleased map[api.DatasetID]bool
	hints    map[api.DatasetID]*api.Hint
	unhinted map[api.DatasetID]bool
	ending   *api.Ending
}

func newMerge() *merge {
	return &merge{
		datasets: map[api.DatasetID]*api.Dataset{}, removed: map[api.DatasetID]bool{},
		leases: map[api.DatasetID]*api.Lease{}, unleased: map[api.DatasetID]bool{},
		hints: map[api.DatasetID]*api.Hint{}, unhinted: map[api.DatasetID]bool{},
	}
}

// add adds a later event.
func (m *merge) add(ev api.StreamEvent) {
	if ev.Welcome != nil {
		m.welcome = ev.Welcome
	}
	for _, d := range ev.Datasets {
		delete(m.removed, d.ID)
		m.datasets[d.ID] = d
	}
	for _, id := range ev.Removed {
		delete(m.datasets, id)
		m.removed[id] = true
	}
	for _, l := range ev.Leases {
		delete(m.unleased, l.Dataset)
		m.leases[l.Dataset] = l
	}
	for _, id := range ev.Unleased {
		delete(m.leases, id)
		m.unleased[id] = true
	}
	for _, h := range ev.Hints {
		delete(m.unhinted, h.Dataset)
		m.hints[h.Dataset] = h
	}
	for _, id := range ev.Unhinted {
		delete(m.hints, id)
		m.unhinted[id] = true
	}
	if ev.Ending != nil {
		m.ending = ev.Ending
	}
}

// take returns everything as one event and begins anew.
func (m *merge) take() api.StreamEvent {
	ev := api.StreamEvent{Welcome: m.welcome, Ending: m.ending}
	for _, id := range slices.Sorted(maps.Keys(m.datasets)) {
		ev.Datasets = append(ev.Datasets, m.datasets[id])
	}
	ev.Removed = slices.Sorted(maps.Keys(m.removed))
	for _, id := range slices.Sorted(maps.Keys(m.leases)) {
		ev.Leases = append(ev.Leases, m.leases[id])
	}
	ev.Unleased = slices.Sorted(maps.Keys(m.unleased))
	for _, id := range slices.Sorted(maps.Keys(m.hints)) {
		ev.Hints = append(ev.Hints, m.hints[id])
	}
	ev.Unhinted = slices.Sorted(maps.Keys(m.unhinted))
	*m = *newMerge()
	return ev
}
