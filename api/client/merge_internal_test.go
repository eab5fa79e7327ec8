package client

import (
	"slices"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestLeasesOfSeveralEventsAreTheNewest(t *testing.T) {
	m := newMerge()
	for _, ev := range []api.StreamEvent{
		{Leases: []*api.Lease{{Dataset: "renewed", Revision: 1}, {Dataset: "ended", Revision: 1}}},
		{Unleased: []api.DatasetID{"again", "ended"}},
		{Leases: []*api.Lease{{Dataset: "renewed", Revision: 2}, {Dataset: "again", Revision: 2}}},
	} {
		m.add(ev)
	}
	got := m.take()
	var leased []api.DatasetID
	for _, l := range got.Leases {
		if l.Revision != 2 {
			t.Errorf("got %+v, want the newest", l)
		}
		leased = append(leased, l.Dataset)
	}
	if want := []api.DatasetID{"again", "renewed"}; !slices.Equal(leased, want) {
		t.Errorf("leases: got %v, want %v", leased, want)
	}
	if want := []api.DatasetID{"ended"}; !slices.Equal(got.Unleased, want) {
		t.Errorf("leases that are over: got %v, want %v", got.Unleased, want)
	}
	if again := m.take(); len(again.Leases)+len(again.Unleased) > 0 {
		t.Errorf("taken again: got %+v", again)
	}
}

func TestHintsOfSeveralEventsAreTheNewest(t *testing.T) {
	m := newMerge()
	for _, ev := range []api.StreamEvent{
		{Hints: []*api.Hint{{Dataset: "changed", Revision: 1}, {Dataset: "over", Revision: 1}}},
		{Unhinted: []api.DatasetID{"again", "over"}},
		{Hints: []*api.Hint{{Dataset: "changed", Revision: 2}, {Dataset: "again", Revision: 2}}},
	} {
		m.add(ev)
	}
	got := m.take()
	if len(got.Hints) != 2 || got.Hints[0].Dataset != "again" || got.Hints[1].Revision != 2 || !slices.Equal(got.Unhinted, []api.DatasetID{"over"}) {
		t.Errorf("got %+v", got)
	}
	if again := m.take(); len(again.Hints)+len(again.Unhinted) > 0 {
		t.Errorf("taken again: got %+v", again)
	}
}
