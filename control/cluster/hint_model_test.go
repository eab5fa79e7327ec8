package cluster_test

import (
	"fmt"
	"reflect"
	"slices"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// modelHint is a hint as an agent has heard it.
type modelHint struct {
	*api.Hint

	over bool // it has had its effect, or was refused
}

// hear has an agent hear of the hint about a dataset.
func (w *world) hear(a *modelAgent, id api.DatasetID) {
	h := w.s.Hint(id)
	if !h.For(a.node) {
		delete(a.hints, id)
	} else if known := a.hints[id]; known == nil || known.Revision != h.Revision {
		a.hints[id] = &modelHint{Hint: h}
	}
}

// expects reports whether an agent uses a dataset because of a hint alone.
func (w *world) expects(a *modelAgent, id api.DatasetID) bool {
	h, d := a.hints[id], a.view[id]
	if h == nil {
		return false
	}
	if d != nil && (d.HeldBy(a.node) && len(d.Waiting) > 0 || h.Make && d.Volume != nil) {
		h.over = true
	}
	return !h.over && h.Live(w.now)
}

// following sees to it that somebody follows Marathon, which a restored log has not.
func (w *world) following() {
	if w.s.Job(api.JobMarathon) != nil && w.s.Replica("r") != nil {
		return
	}
	next := w.s.Clone()
	next.Put(cluster.Change{Key: cluster.ReplicaKey("r"), Replica: &api.Replica{ID: "r"}},
		cluster.Change{Key: cluster.JobKey(api.JobMarathon), Job: &api.Job{Name: api.JobMarathon, Owner: "r"}})
	next.SetRevision(w.s.Revision() + 1)
	w.s = next
}

// readMarathon has it be seen how Marathon has an app, which asks for any dataset.
func (w *world) readMarathon(t *rapid.T) {
	w.following()
	name := rapid.SampledFrom(modelNames).Draw(t, "name")
	app := api.App{ID: rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "app"), Framework: "f", Wanted: rapid.IntRange(0, 1).Draw(t, "wanted")}
	app.Volumes = []api.AppVolume{{Key: "v", Name: name, Spec: &api.VolumeRequest{Name: name}}}
	hints := map[string]api.Hint{}
	if rapid.Bool().Draw(t, "staged") {
		node := w.anyAgent(t).node
		app.Instances = []api.AppInstance{{ID: "i-" + string(node), State: api.TaskStaging, Host: "host-" + string(node), Node: node}}
		hints[name] = api.Hint{Node: node, Instance: app.Instances[0].ID, Until: w.now.Add(cluster.MaxHint)}
	}
	_, _ = w.apply(cluster.FollowApp{At: w.now, Replica: "r", App: app, Hints: hints, NewID: w.newID, DefaultSize: api.MinSize})
}

// makeAhead has volumes made ahead, some time after it was last done.
func (w *world) makeAhead(t *rapid.T) {
	w.following()
	if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
		w.now = w.now.Add(cluster.MakeLimit)
	}
	_, _ = w.apply(cluster.MakeAhead{At: w.now, Replica: "r", Limit: rapid.IntRange(1, 3).Draw(t, "limit")})
}

// modelInstance is an instance of an app of a volume set, as Marathon calls it.
func modelInstance(set string, n int) string {
	return fmt.Sprintf("%s.instance-00000000-0000-0000-0000-%012d", set, n)
}

// stageInstances has it be seen that instances are about to start which will take
// members of sets.
func (w *world) stageInstances(t *rapid.T) {
	w.following()
	app := api.App{ID: "/kafka", Framework: "f", Wanted: modelEach}
	for _, set := range modelSets {
		for i := range modelEach {
			app.Volumes = append(app.Volumes, api.AppVolume{Key: set, Name: api.MemberName(set, i), Set: set, Spec: &api.VolumeRequest{Name: set, Each: modelEach}})
		}
	}
	var coming []api.Hint
	for n := range rapid.IntRange(0, modelEach).Draw(t, "staged") {
		node := w.anyAgent(t).node
		in := api.AppInstance{ID: modelInstance(modelSets[0], n) + "._app.1", State: api.TaskStaging, Node: node}
		app.Instances = append(app.Instances, in)
		coming = append(coming, api.Hint{Node: node, Instance: in.ID, Until: w.now.Add(cluster.MaxHint)})
	}
	out, err := w.apply(cluster.FollowApp{At: w.now, Replica: "r", App: app, Coming: coming, NewID: w.newID, DefaultSize: api.MinSize})
	if err != nil {
		w.t.Fatal(err)
	}
	numbers := map[string]map[int]bool{} // by instances
	for d := range w.s.Datasets() {
		h := w.s.Hint(d.ID)
		if h == nil || h.Make || d.Member == nil || !slices.ContainsFunc(out.App.Instances, func(i api.AppInstance) bool { return i.ID == h.Instance && i.Node == h.Node }) {
			continue
		}
		if numbers[h.Instance] == nil {
			numbers[h.Instance] = map[int]bool{}
		}
		numbers[h.Instance][d.Member.Index] = true
	}
	all := map[int]bool{}
	for instance, n := range numbers {
		for i := range n {
			if all[i] || len(n) > 1 {
				w.t.Fatalf("instance %s is expected to take the members %v, and others are: %v", instance, n, numbers)
			}
			all[i] = true
		}
	}
	w.seen["expected"] += len(all)
}

// followHint has an agent do something about what was hinted to it.
func (w *world) followHint(t *rapid.T) {
	var hints []*api.Hint
	for d := range w.s.Datasets() {
		if h := w.s.Hint(d.ID); h.Live(w.now) && w.agents[h.Node].stream != 0 {
			hints = append(hints, h)
		}
	}
	if len(hints) == 0 {
		t.Skip("there are no hints")
	}
	h := rapid.SampledFrom(hints).Draw(t, "hint")
	a := w.agents[h.Node]
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		w.see(a, h.Dataset)
		before := len(w.net)
		w.step(a, h.Dataset)
		for _, m := range slices.Clone(w.net[before:]) {
			w.deliver(m, true)
		}
		w.net = w.net[:before]
	}
}

// checkWord checks that Marathon's word moves no token, and that what is to be made
// ahead is taken from nobody and waited for by nobody.
func (w *world) checkWord(old *cluster.State, cmd cluster.Command) {
	switch cmd := cmd.(type) {
	case cluster.FollowApp, cluster.MakeAhead:
		for d := range w.s.Datasets() {
			was := old.Dataset(d.ID)
			if was == nil && d.Holder == nil || was != nil && d.Epoch == was.Epoch && reflect.DeepEqual(d.Holder, was.Holder) &&
				reflect.DeepEqual(d.Waiting, was.Waiting) && reflect.DeepEqual(d.Member, was.Member) {
				continue
			}
			w.t.Fatalf("%T: Marathon's word has changed who has dataset %s, from %+v to %+v", cmd, d.ID, was, d)
		}
	case cluster.Claim:
		was := old.Dataset(cmd.ID)
		if !cmd.Ahead {
			return
		}
		w.seen["claimed because of a hint"]++
		if h := old.Hint(cmd.ID); h.Make && was.Holder != nil {
			w.t.Fatalf("%+v was claimed by %s to have its volume made", was, cmd.Node)
		}
		if is := w.s.Dataset(cmd.ID); !reflect.DeepEqual(was.Member, is.Member) {
			w.t.Fatalf("a claim by %s because of a hint has made %+v of the member %+v", cmd.Node, is.Member, was.Member)
		}
		if m := was.Member; m != nil && m.User != nil {
			w.seen["followed what its predecessor leaves"]++
		}
	}
}
