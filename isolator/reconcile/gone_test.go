package reconcile_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

func TestGone(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	old, young := now.Add(-time.Hour), now.Add(-time.Second)
	consumer := func(id string, since time.Time) api.Consumer {
		return api.Consumer{ID: id, Kind: api.ConsumerMesos, Since: since}
	}
	dead := func(string) bool { return false }
	tests := []struct {
		name      string
		consumers []api.Consumer
		live      reconcile.Live
		before    reconcile.Absences
		alive     func(string) bool
		gone      []string
		after     reconcile.Absences
	}{
		{"running", []api.Consumer{consumer("a", old)}, reconcile.NewLive("a"), reconcile.Absences{"a": 1}, dead, nil, nil},
		{"missing for the first time", []api.Consumer{consumer("a", old)}, reconcile.NewLive(), nil, dead, nil, reconcile.Absences{"a": 1}},
		{"missing twice", []api.Consumer{consumer("a", old)}, reconcile.NewLive(), reconcile.Absences{"a": 1}, dead, []string{"a"}, reconcile.Absences{"a": 2}},
		{"missing twice, but young", []api.Consumer{consumer("a", young)}, reconcile.NewLive(), reconcile.Absences{"a": 1}, dead, nil, reconcile.Absences{"a": 2}},
		{"missing twice, but alive", []api.Consumer{consumer("a", old)}, reconcile.NewLive(), reconcile.Absences{"a": 1},
			func(id string) bool { return id == "a" }, nil, reconcile.Absences{"a": 2}},
		{"child missing, parent running", []api.Consumer{consumer("p.c", old)}, reconcile.NewLive("p"), reconcile.Absences{"p.c": 1}, dead,
			[]string{"p.c"}, reconcile.Absences{"p.c": 2}},
		{"another's child", []api.Consumer{consumer("p.c", old)}, reconcile.NewLive("q.c"), reconcile.Absences{"p.c": 4}, dead,
			[]string{"p.c"}, reconcile.Absences{"p.c": 5}},
		{"with several volumes", []api.Consumer{consumer("a", old), consumer("a", old)}, reconcile.NewLive(), reconcile.Absences{"a": 1}, dead,
			[]string{"a"}, reconcile.Absences{"a": 2}},
		{"with a volume that is young", []api.Consumer{consumer("a", old), consumer("a", young)}, reconcile.NewLive(), reconcile.Absences{"a": 1}, dead,
			nil, reconcile.Absences{"a": 2}},
		{"with several volumes, for the first time", []api.Consumer{consumer("a", old), consumer("a", old)}, reconcile.NewLive(), nil, dead,
			nil, reconcile.Absences{"a": 1}},
		{"not Mesos'", []api.Consumer{{ID: "dvdcli:db", Kind: api.ConsumerDVDCLI, Since: old}, {ID: "x", Since: old}}, reconcile.NewLive(),
			reconcile.Absences{"dvdcli:db": 1, "x": 1}, dead, nil, nil},
		{"forgets those that were released", nil, reconcile.NewLive(), reconcile.Absences{"a": 1}, dead, nil, nil},
		{"a clock that was set back", []api.Consumer{consumer("a", now.Add(time.Hour))}, reconcile.NewLive(), reconcile.Absences{"a": 9}, dead,
			nil, reconcile.Absences{"a": 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gone, after := reconcile.Gone(tt.consumers, tt.live, tt.before, now, time.Minute, tt.alive)
			if !slices.Equal(gone, tt.gone) || !maps.Equal(after, tt.after) {
				t.Errorf("got %v, %v, want %v, %v", gone, after, tt.gone, tt.after)
			}
		})
	}
}

func TestGoneAsksOnlyOfTheLastSuspectsWhetherTheyLive(t *testing.T) {
	old := time.Unix(0, 0)
	consumers := []api.Consumer{{ID: "a", Kind: api.ConsumerMesos, Since: old}, {ID: "b", Kind: api.ConsumerMesos, Since: old}}
	var asked []string
	reconcile.Gone(consumers, reconcile.NewLive(), reconcile.Absences{"b": 1}, old.Add(time.Hour), time.Minute,
		func(id string) bool { asked = append(asked, id); return false })
	if !slices.Equal(asked, []string{"b"}) {
		t.Errorf("got %v", asked)
	}
}
