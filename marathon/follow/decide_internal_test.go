package follow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
	"github.com/flocker-mesos/flocker/marathon/client"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rules = Rules{Confirm: 10 * time.Second, Hint: 5 * time.Minute}
)

func TestWhatProvesThatAnAppWasDestroyed(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for _, tc := range []struct {
		name      string
		framework string // of the snapshot, "f" where it is ""
		stopping  bool   // a deployment of the snapshot destroys it
		stopped   time.Time
		missing   time.Time
		deletes   bool
		want      string
	}{
		{name: "missing for the first time", want: "missing"},
		{name: "missing while it is being destroyed", stopping: true, want: "missing, stopped"},
		{name: "missing after it was said to be destroyed", stopped: ago(time.Minute), want: "missing, stopped"},
		{name: "missing twice, too close to each other", stopped: ago(time.Minute), missing: ago(time.Second), want: "nothing"},
		{name: "missing twice, after it was said to be destroyed", stopped: ago(time.Minute), missing: ago(time.Minute), want: "destroyed"},
		{name: "the same, with volumes that go with it", stopped: ago(time.Minute), missing: ago(time.Minute), deletes: true, want: "destroyed"},
		{name: "missing for long, and only now said to be destroyed", stopped: ago(time.Second), missing: ago(time.Hour), deletes: true, want: "nothing"},
		{name: "missing twice without a word", missing: ago(time.Minute), want: "nothing"},
		{name: "missing for ever without a word", missing: ago(1000 * time.Hour), want: "nothing"},
		{name: "missing for ever without a word, with volumes that would go with it", missing: ago(1000 * time.Hour), deletes: true, want: "nothing"},
		{name: "another Marathon does not have it", framework: "g", stopped: ago(time.Minute), missing: ago(time.Hour), deletes: true, want: "nothing"},
		{name: "another Marathon does not have it, for the first time", framework: "g", want: "missing"},
		{name: "another Marathon does not have it, after the first had said that it destroys it", framework: "g", stopped: ago(time.Minute), want: "missing"},
		{name: "another Marathon destroys its own of that name", framework: "g", stopping: true, deletes: true, want: "missing"},
		{name: "missing twice while its tasks are being killed", stopping: true, stopped: ago(time.Minute), missing: ago(time.Minute), deletes: true, want: "nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := &api.App{ID: "/db", Framework: "f", Stopped: tc.stopped, Missing: tc.missing, Volumes: []api.AppVolume{{Name: "db"}}}
			if tc.deletes {
				old.Volumes[0].Reclaim = api.ReclaimDelete
			}
			s := &Snapshot{Framework: "f", Stops: map[string]bool{"/db": tc.stopping}}
			if tc.framework != "" {
				s.Framework = tc.framework
			}
			follow, forget := rules.absent(old, s, noon)
			got := "nothing"
			switch {
			case follow != nil && forget != nil:
				got = "both"
			case follow != nil:
				got = "missing"
				if !follow.App.Stopped.IsZero() {
					got += ", stopped"
				}
				if !follow.App.Missing.Equal(noon) {
					t.Errorf("missing since %s, want %s", follow.App.Missing, noon)
				}
			case forget != nil && forget.Reclaim:
				got = "destroyed"
			case forget != nil:
				got = "forgotten"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// The record of an app without volumes is dropped, but not where another Marathon has an
// app of that id: the volumes of the right one would not be asked for any more.
func TestAnAppOfAnotherMarathonWithoutVolumesTellsNothing(t *testing.T) {
	for _, tc := range []struct {
		name, had string
		missing   time.Time
		want      string
	}{
		{name: "the Marathon that had it", had: "f", want: "forgotten"},
		{name: "an older version's record", had: "", want: "forgotten"},
		{name: "another Marathon", had: "g", want: "gone"},
		{name: "another Marathon, again", had: "g", missing: noon.Add(-time.Hour), want: "nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := &api.App{ID: "/db", Framework: tc.had, Missing: tc.missing, Stopped: noon.Add(-time.Minute), Volumes: []api.AppVolume{{Name: "db"}}}
			s := &Snapshot{Framework: "f", Apps: map[string]*Sighting{"/db": {ID: "/db"}}}
			d := rules.all([]*api.App{old}, s, nil, noon)
			got := "nothing"
			switch {
			case len(d.forget) == 1 && !d.forget[0].Reclaim:
				got = "forgotten"
			case len(d.follow) == 1 && d.follow[0].App.Missing.Equal(noon) && d.follow[0].App.Stopped.IsZero() && d.follow[0].App.Framework == tc.had:
				got = "gone"
			}
			if got != tc.want {
				t.Errorf("got %s (%+v), want %s", got, d, tc.want)
			}
		})
	}
}

// sighting is an app with a volume and instances such as "1 staging host1".
func sighting(instances ...string) *Sighting {
	s := &Sighting{ID: "/db", Wanted: len(instances), AtRest: true, Volumes: []marathon.Volume{{VolumeRequest: api.VolumeRequest{Key: "data", Name: "db"}}}}
	for _, text := range instances {
		parts := strings.Fields(text)
		in := api.AppInstance{ID: parts[0], State: "TASK_" + strings.ToUpper(parts[1])}
		if len(parts) > 2 {
			in.Host = parts[2]
		}
		s.Instances = append(s.Instances, in)
	}
	return s
}

func TestWhereAVolumeWillBeNeededNext(t *testing.T) {
	h := newHosts([]*api.Node{
		{ID: "n1", Hostname: "host1", Address: "10.0.0.1", Stream: 1, Connected: true},
		{ID: "n2", Hostname: "host2.example.net", Address: "10.0.0.2", Stream: 1, Connected: true},
		{ID: "twin1", Hostname: "twin", Address: "10.0.0.3", Stream: 1, Connected: true},
		{ID: "twin2", Hostname: "twin", Address: "10.0.0.4", Stream: 1, Connected: true},
		{ID: "old", Hostname: "anew", Address: "10.0.0.5", Stream: 1},
		{ID: "new", Hostname: "anew", Address: "10.0.0.5", Stream: 1, Connected: true},
		{ID: "never", Hostname: "never", Address: "10.0.0.6"},
	})
	for _, tc := range []struct {
		name      string
		instances []string
		want      api.NodeID
	}{
		{"nothing was staged", []string{"1 running host1"}, ""},
		{"by name", []string{"1 staging host1"}, "n1"},
		{"by address", []string{"1 staging 10.0.0.2"}, "n2"},
		{"in another spelling", []string{"1 starting HOST2.example.net."}, "n2"},
		{"beside one that runs", []string{"1 running host1", "2 staging 10.0.0.2"}, "n2"},
		{"beside one that is killed", []string{"1 killing host1", "2 staging 10.0.0.2"}, "n2"},
		{"a host that two nodes are called", []string{"1 staging twin"}, ""},
		{"one of the two, by its address", []string{"1 staging 10.0.0.4"}, "twin2"},
		{"a machine that was set up anew", []string{"1 staging anew"}, "new"},
		{"a host without a node", []string{"1 staging elsewhere"}, ""},
		{"a node that has never been there", []string{"1 staging never"}, ""},
		{"two places", []string{"1 staging host1", "2 staging 10.0.0.2"}, ""},
		{"twice the same place", []string{"1 staging host1", "2 staging 10.0.0.1"}, "n1"},
		{"no place yet", []string{"1 staging"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := rules.present(nil, sighting(tc.instances...), "f", h, noon)
			got := f.Hints["db"]
			if got.Node != tc.want || tc.want != "" && !got.Until.Equal(noon.Add(rules.Hint)) {
				t.Errorf("got %+v, want one for %q", got, tc.want)
			}
		})
	}
}

func TestMembersOfSetsAreNamedAndKept(t *testing.T) {
	set := func(each, instances int) *Sighting {
		s := sighting()
		s.Wanted = instances
		s.Volumes[0].Each = each
		return s
	}
	names := func(f Follow) string {
		var all []string
		for _, v := range f.App.Volumes {
			all = append(all, v.Name)
		}
		return strings.Join(all, " ")
	}
	three := rules.present(nil, set(api.EachInstance, 3), "f", nil, noon)
	if got, want := names(three), "db.0 db.1 db.2"; got != want || three.Sets["db"] != 3 {
		t.Errorf("three instances: got %s and %v, want %s and 3", got, three.Sets, want)
	}
	fewer := rules.present(&three.App, set(api.EachInstance, 1), "f", nil, noon)
	if got, want := names(fewer), "db.0 db.1 db.2"; got != want || fewer.Sets["db"] != 1 {
		t.Errorf("scaled down: got %s and %v, want %s and 1", got, fewer.Sets, want)
	}
	fixed := rules.present(nil, set(2, 1), "f", nil, noon)
	if got, want := names(fixed), "db.0 db.1"; got != want || len(fixed.Sets) > 0 {
		t.Errorf("a number: got %s and %v, want %s", got, fixed.Sets, want)
	}
	many := rules.present(nil, set(api.EachInstance, 100000), "f", nil, noon)
	if got := len(many.App.Volumes); got != api.MaxAppVolumes {
		t.Errorf("very many: got %d, want %d", got, api.MaxAppVolumes)
	}
}

func TestInstancesThatTakeMembersAreComingWhereTheyWereStaged(t *testing.T) {
	h := newHosts([]*api.Node{
		{ID: "n1", Hostname: "host1", Stream: 1, Connected: true}, {ID: "n2", Hostname: "host2", Stream: 1, Connected: true},
	})
	seen := sighting("1 running host1", "2 staging host2", "3 starting host1", "4 staging elsewhere", "5 staging", "6 killing host1")
	if f := rules.present(nil, seen, "f", h, noon); len(f.Coming) > 0 {
		t.Errorf("without a volume set: got %+v, want none", f.Coming)
	}
	seen.Volumes[0].Each = 3
	f := rules.present(nil, seen, "f", h, noon)
	var got []string
	for _, c := range f.Coming {
		got = append(got, c.Instance+" on "+string(c.Node))
		if c.App != f.App.ID || !c.Until.Equal(noon.Add(rules.Hint)) {
			t.Errorf("got %+v, want one that is bounded", c)
		}
	}
	if want := []string{"2 on n2", "3 on n1"}; !slices.Equal(got, want) || len(f.Hints) > 0 {
		t.Errorf("got %v and hints %v, want %v alone", got, f.Hints, want)
	}
}

func TestADefinitionWithAMistakeAsksForWhatItAskedForBefore(t *testing.T) {
	old := &api.App{ID: "/db", Framework: "f", Volumes: []api.AppVolume{{Key: "data", Name: "db", Dataset: "d1", Reclaim: api.ReclaimDelete}}}
	broken := &Sighting{ID: "/db", Mistake: "sise", texts: []string{"db"}}
	f := rules.present(old, broken, "f", nil, noon)
	if len(f.App.Volumes) != 1 || f.App.Volumes[0].Name != "db" || f.App.Mistake == "" {
		t.Errorf("got %+v, want the volume from before and the mistake", f.App)
	}
}

func TestWhatMayBeReclaimed(t *testing.T) {
	due := func(name string) *api.Dataset {
		return &api.Dataset{ID: api.DatasetID(name), Metadata: map[string]string{"name": name}, Reclaim: &api.Reclaim{At: noon}}
	}
	for _, tc := range []struct {
		name string
		seen *Sighting
		late bool // the snapshot began before its time was over
		want bool
	}{
		{name: "nobody asks for it", seen: &Sighting{ID: "/web"}, want: true},
		{name: "the snapshot is from before", seen: &Sighting{ID: "/web"}, late: true},
		{name: "an app asks for it", seen: sighting()},
		{name: "a definition with a mistake has its name", seen: &Sighting{ID: "/x", Mistake: "m", texts: []string{"path=/d,name=db"}}},
		{name: "a definition with a mistake may mean it by default", seen: &Sighting{ID: "/d", Mistake: "m"}, want: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &Snapshot{Began: noon.Add(time.Second), Apps: map[string]*Sighting{tc.seen.ID: tc.seen}}
			if tc.late {
				s.Began = noon.Add(-time.Second)
			}
			if got := len(reclaims([]*api.Dataset{due("db")}, s)) == 1; got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
	member := sighting()
	member.Volumes[0].Each = 3
	s := &Snapshot{Began: noon.Add(time.Second), Apps: map[string]*Sighting{"/db": member, "/x": {ID: "/x", Mistake: "m"}}}
	for _, name := range []string{"db.7", "x.data"} {
		if len(reclaims([]*api.Dataset{due(name)}, s)) > 0 {
			t.Errorf("%s may be meant, and is reclaimed", name)
		}
	}
}

func TestEventsOfAppsWithoutVolumesAreLeftAlone(t *testing.T) {
	d := newDirty()
	d.disinterested(&Snapshot{Apps: map[string]*Sighting{"/web": {ID: "/web"}, "/db": sighting()}})
	d.event(client.Event{Apps: []string{"/web"}, Tasks: true})
	if w := d.take(); !w.empty() {
		t.Errorf("got %+v, want nothing for a task of an app without volumes", w)
	}
	d.event(client.Event{Apps: []string{"/db", "/new"}, Tasks: true})
	d.event(client.Event{Apps: []string{"/web"}})
	if w := d.take(); len(w.apps) != 3 || w.full {
		t.Errorf("got %+v, want all three", w)
	}
	d.interested("/web", true)
	d.event(client.Event{Apps: []string{"/web"}, Tasks: true})
	if w := d.take(); !w.apps["/web"] {
		t.Errorf("got %+v, want the app that has volumes by now", w)
	}
	for i := range maxDirty + 10 {
		d.event(client.Event{Apps: []string{fmt.Sprintf("/app%d", i)}})
	}
	if w := d.take(); !w.full || len(w.apps) > maxDirty {
		t.Errorf("got %d apps, full: %t, want everything to be read in their place", len(w.apps), w.full)
	}
}

func FuzzAppsAreDecidedAboutWithoutHarm(f *testing.F) {
	f.Add([]byte(`{"id":"/db","labels":{"flocker.volume.data":"/data","flocker.volume.data.reclaim":"delete"},"tasks":[{"id":"t","state":"TASK_STAGING","host":"host1"}]}`))
	f.Add([]byte(`{"id":"/db","labels":{"flocker.volume.data":"/data","flocker.volume.data.each":"true"},"instances":1000000000}`))
	f.Add([]byte(`{"id":"/db","instances":-5,"labels":{"flocker.volume.data":"/data","flocker.volume.data.each":"true"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		app, err := decodeApp(text)
		if err != nil {
			return
		}
		seen := seenApp(app)
		follow := rules.present(nil, seen, "f", newHosts([]*api.Node{{ID: "n1", Hostname: "host1", Stream: 1, Connected: true}}), noon)
		if len(follow.App.Volumes) > api.MaxAppVolumes || len(follow.App.Instances) > api.MaxAppInstances {
			t.Errorf("%d volumes and %d instances, want them bounded", len(follow.App.Volumes), len(follow.App.Instances))
		}
		for name := range follow.Hints {
			if !slices.ContainsFunc(follow.App.Volumes, func(v api.AppVolume) bool { return v.Name == name }) {
				t.Errorf("there is a hint about %q, for which the app does not ask", name)
			}
		}
	})
}
