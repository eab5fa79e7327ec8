package follow

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

// Rules are the numbers that decisions depend on.
type Rules struct {
	// Confirm is how long an app must have been missing, in at least two
	// snapshots, before it counts as gone.
	Confirm time.Duration
	// Hint is for how long a hint about a staged instance holds.
	Hint time.Duration
}

// Follow is a decision to make known how Marathon has an app.
type Follow struct {
	App   api.App
	Hints map[string]api.Hint // by the names of datasets
	// Coming are the instances that are about to start, each of which takes members
	// of volume sets: which ones the cluster knows.
	Coming []api.Hint
	Sets   map[string]int // how many members volume sets may have
}

// Forget is a decision that an app is no more.
type Forget struct {
	App     *api.App
	Reclaim bool // it was destroyed, for all that can be known
}

// present decides about an app that Marathon has.
func (r Rules) present(old *api.App, seen *Sighting, framework string, h hosts, now time.Time) Follow {
	f := Follow{App: api.App{
		ID: seen.ID, Pod: seen.Pod, Framework: framework, Version: seen.Version, Wanted: seen.Wanted, Zone: seen.Zone, Mistake: seen.Mistake,
		Owner: api.RoleOwner(seen.Role),
	}}
	f.App.Volumes, f.Sets = volumesOf(old, seen), counts(seen)
	if old != nil && !seen.AtRest {
		f.App.Stopped = old.Stopped // what was said of its end may be under way
	}
	instances := slices.SortedFunc(slices.Values(seen.Instances), func(a, b api.AppInstance) int { return cmp.Compare(a.ID, b.ID) })
	for i := range instances {
		instances[i].Node = h.node(instances[i].Host)
	}
	f.Hints, f.Coming = r.hints(&f.App, instances, now), r.coming(&f.App, instances, now)
	f.App.Unlisted = max(len(instances)-api.MaxAppInstances, 0)
	f.App.Instances = instances[:len(instances)-f.App.Unlisted]
	return f
}

// volumesOf returns the volumes that an app asks for. What a definition with a
// mistake asks for is what it asked for before, as far as it does not say
// otherwise.
func volumesOf(old *api.App, seen *Sighting) []api.AppVolume {
	var all []api.AppVolume
	has := func(name string) bool {
		return slices.ContainsFunc(all, func(v api.AppVolume) bool { return v.Name == name })
	}
	add := func(v api.AppVolume) {
		if !has(v.Name) && len(all) < api.MaxAppVolumes {
			all = append(all, v)
		}
	}
	for _, v := range seen.Volumes {
		request := v.VolumeRequest
		request.User = cmp.Or(request.User, v.RunsAs)
		volume := api.AppVolume{Key: v.Key, Name: v.Name, Reclaim: v.Reclaim, Grace: v.Grace, Spec: &request, Anyone: v.Form != "" && v.Form != marathon.FormLabels}
		if v.Each == 0 {
			add(volume)
			continue
		}
		volume.Set = v.Name
		for i := range members(old, v.Name, v.Each, seen.Wanted) {
			volume.Name = api.MemberName(v.Name, i)
			add(volume)
		}
	}
	if seen.Mistake != "" && old != nil {
		for _, v := range old.Volumes {
			v.Dataset, v.Failure = "", ""
			add(v)
		}
	}
	return all
}

// members returns how many members a volume set has: as many as are asked for,
// and those that there were before, since scaling down keeps them.
func members(old *api.App, set string, each, instances int) int {
	n := each
	if each == api.EachInstance {
		n = instances
	}
	if old == nil {
		return min(n, api.MaxAppVolumes)
	}
	for _, v := range old.Volumes {
		if of, index, ok := api.ParseMemberName(v.Name); ok && v.Set == set && of == set {
			n = max(n, index+1)
		}
	}
	return min(n, api.MaxAppVolumes)
}

// counts returns how many members the volume sets of an app may have that have as
// many as it has instances.
func counts(seen *Sighting) map[string]int {
	n := map[string]int{}
	for _, v := range seen.Volumes {
		if v.Each == api.EachInstance {
			n[v.Name] = min(max(seen.Wanted, 0), api.MaxMembers)
		}
	}
	return n
}

// hints returns where the volumes of an app will be needed next: where an instance
// was staged, if that is one place.
func (r Rules) hints(app *api.App, instances []api.AppInstance, now time.Time) map[string]api.Hint {
	var staged *api.AppInstance
	for i := range instances {
		in := &instances[i]
		if !in.Staged() || in.Host == "" {
			continue
		}
		if in.Node == "" || staged != nil && staged.Node != in.Node {
			return nil
		}
		staged = in
	}
	if staged == nil {
		return nil
	}
	hints := map[string]api.Hint{}
	for _, v := range app.Volumes {
		if v.Set == "" {
			hints[v.Name] = api.Hint{Node: staged.Node, App: app.ID, Instance: staged.ID, Until: now.Add(r.Hint).Round(0)}
		}
	}
	return hints
}

// coming returns where instances were staged that will take members of volume sets.
func (r Rules) coming(app *api.App, instances []api.AppInstance, now time.Time) []api.Hint {
	if !slices.ContainsFunc(app.Volumes, func(v api.AppVolume) bool { return v.Set != "" }) {
		return nil
	}
	var coming []api.Hint
	for _, in := range instances {
		if in.Staged() && in.Node != "" && len(coming) < api.MaxAppInstances {
			coming = append(coming, api.Hint{Node: in.Node, App: app.ID, Instance: in.ID, Until: now.Add(r.Hint).Round(0)})
		}
	}
	return coming
}

// absent decides about an app that is not in a snapshot. What proves that it was
// destroyed is all of this together: Marathon has said that it destroys it, or
// has, since it was last at rest; and it is missing in two snapshots, some time
// apart, of an elected leader of the very Marathon that had it.
//
// Each of the three is there for a reason. Without Marathon's word, an app may be
// missing because Marathon's own records were lost or restored from before it, or
// because the credentials do not show it any more. Marathon's word alone may be of
// a deployment that was taken back. And another Marathon, or one with new records,
// knows nothing of the app.
//
// An app that another Marathon does not have is gone all the same: the operator sees
// it, and can have it forgotten. It never counts as destroyed, and Marathon's word from
// before is dropped, so that it takes a new one when the right Marathon is back.
//
// The record of an app that is missing without a word stays, for ever if need be,
// also where nothing of its own would be deleted: it may ask for what another app
// has that is destroyed. A person can have it forgotten.
func (r Rules) absent(old *api.App, s *Snapshot, now time.Time) (follow *Follow, forget *Forget) {
	if s.Framework == "" {
		return nil, nil
	}
	switch missing := now.Sub(old.Missing); {
	case old.Missing.IsZero():
		if s.foreign(old) {
			return &Follow{App: goneElsewhere(old, now)}, nil
		}
		gone := gone(old, now)
		if s.Stops[old.ID] && gone.Stopped.IsZero() {
			gone.Stopped = now.Round(0)
		}
		return &Follow{App: gone}, nil
	case s.foreign(old):
		return nil, nil
	case s.Stops[old.ID]: // its tasks are being killed
		return nil, nil
	case missing < r.Confirm, now.Sub(old.Stopped) < r.Confirm: // it must be missing after Marathon's word as well
		return nil, nil
	case !old.Stopped.IsZero():
		return nil, &Forget{App: old, Reclaim: true}
	default:
		return nil, nil
	}
}

// gone returns the record of an app that is missing from now on.
func gone(old *api.App, now time.Time) api.App {
	gone := *old
	gone.Missing = now.Round(0)
	gone.Instances, gone.Unlisted = nil, 0
	return gone
}

// goneElsewhere is gone where another Marathon answers than the one that had the app.
func goneElsewhere(old *api.App, now time.Time) api.App {
	gone := gone(old, now)
	gone.Stopped = time.Time{}
	return gone
}

// heard decides about the word of the Marathon with a framework id: that it destroys
// an app, or that a user has put one. It returns nil where that says nothing new. A
// Marathon's word about another one's app ends nothing.
func heard(old *api.App, ends bool, framework string, now time.Time) *Follow {
	if old == nil || ends == !old.Stopped.IsZero() || ends && old.Framework != framework {
		return nil
	}
	said := *old
	said.Stopped = time.Time{}
	if ends {
		said.Stopped = now.Round(0)
	}
	return &Follow{App: said}
}

// reclaims chooses the datasets that may be deleted now of those whose time of
// grace is over. The snapshot was begun after that, so nobody can have asked for
// one of them before without being seen.
func reclaims(due []*api.Dataset, s *Snapshot) []*api.Dataset {
	asked := map[string]bool{}
	for _, seen := range s.Apps {
		for _, v := range seen.Volumes {
			asked[v.Name] = true
		}
	}
	var out []*api.Dataset
	for _, d := range due {
		if d.Reclaim == nil || s.Began.Before(d.Reclaim.At) || asked[d.Name()] || anyMeans(s, d.Name()) {
			continue
		}
		out = append(out, d)
	}
	return out
}

// anyMeans reports whether an app may ask for a dataset in a way that is not
// understood, or as a member of a set.
func anyMeans(s *Snapshot, name string) bool {
	for _, seen := range s.Apps {
		if seen.mayMean(name) {
			return true
		}
		for _, v := range seen.Volumes {
			if v.Each != 0 && strings.HasPrefix(name, v.Name+".") {
				return true
			}
		}
	}
	return false
}

// decisions are what to do after Marathon was read.
type decisions struct {
	follow []Follow
	forget []Forget
}

// one decides about an app that Marathon has.
func (d *decisions) one(r Rules, old *api.App, seen *Sighting, framework string, h hosts, now time.Time) {
	switch {
	case seen.asks():
		d.follow = append(d.follow, r.present(old, seen, framework, h, now))
	case old == nil:
	case old.Framework != "" && old.Framework != framework:
		// Another Marathon has an app of that id, which asks for nothing. That says
		// nothing of the app whose volumes these are.
		if old.Missing.IsZero() {
			d.follow = append(d.follow, Follow{App: goneElsewhere(old, now)})
		}
	default: // it asks for nothing any more
		d.forget = append(d.forget, Forget{App: old})
	}
}

// all decides about everything, after a snapshot.
func (r Rules) all(known []*api.App, s *Snapshot, h hosts, now time.Time) decisions {
	var d decisions
	byID := make(map[string]*api.App, len(known))
	for _, old := range known {
		byID[old.ID] = old
		if s.Apps[old.ID] != nil {
			continue
		}
		follow, forget := r.absent(old, s, now)
		if follow != nil {
			d.follow = append(d.follow, *follow)
		}
		if forget != nil {
			d.forget = append(d.forget, *forget)
		}
	}
	for _, seen := range s.Apps {
		d.one(r, byID[seen.ID], seen, s.Framework, h, now)
	}
	return d
}
