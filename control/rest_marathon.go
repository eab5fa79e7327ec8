package control

import (
	"net/http"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listMarathonApps shows the apps that ask for volumes, as Marathon last had
// them. All of it is in the log, so any replica knows it, also while Marathon is
// down.
func (a *rest) listMarathonApps(w http.ResponseWriter, r *request) error {
	s, now := a.replica.State(), a.now()
	mesos := a.evidence(s)
	only := r.query("id")
	view := api.MarathonView{Marathon: marathonStatus(s), Apps: []*api.AppDetail{}}
	if only != "" {
		app := s.App(only)
		if app == nil || !s.MaySee(app, r.who.actor()) {
			return api.Errorf(api.CodeNotFound, "no app or pod %q of Marathon's is known that asks for volumes", only)
		}
		view.Apps = append(view.Apps, appDetail(s, app, r.who.actor(), mesos, now))
		reply(w, http.StatusOK, view)
		return nil
	}
	for app := range s.Apps() {
		if !s.MaySee(app, r.who.actor()) {
			continue
		}
		view.Apps = append(view.Apps, appDetail(s, app, r.who.actor(), mesos, now))
	}
	reply(w, http.StatusOK, view)
	return nil
}

// forgetMarathonApp forgets an app that Marathon has not, and keeps its volumes.
func (a *rest) forgetMarathonApp(w http.ResponseWriter, r *request) error {
	res, err := a.decide(r, cluster.DropApp{At: a.now(), ID: r.path("id")})
	if err != nil {
		return err
	}
	a.log.Info("app that Marathon has not is forgotten", "app", res.App.ID, "by", r.who.name)
	reply(w, http.StatusOK, appDetail(res.State, res.App, r.who.actor(), a.evidence(res.State), a.now()))
	return nil
}

// marathonStatus returns how well Marathon is followed, nil where nobody does.
func marathonStatus(s *cluster.State) *api.MarathonStatus {
	j := s.Job(api.JobMarathon)
	if j == nil {
		return nil
	}
	var status api.MarathonStatus
	if j.Marathon != nil {
		status = *j.Marathon
	}
	if owner := s.Replica(j.Owner); owner != nil && owner.Lost.IsZero() {
		status.Owner = owner.Name
	}
	return &status
}

// appDetail returns an app with how its volumes are, as far as an actor may see them.
func appDetail(s *cluster.State, app *api.App, by cluster.Actor, mesos evidence, now time.Time) *api.AppDetail {
	full := &api.AppDetail{App: app, VolumeDetails: []api.AppVolumeDetail{}, Why: cluster.ExplainApp(app, now)}
	for _, why := range []string{s.ExplainFramework(app), s.ExplainAhead(app)} {
		full.Why = strings.TrimSpace(full.Why + " " + why)
	}
	for _, v := range app.Volumes {
		shown := api.AppVolumeDetail{Key: v.Key, Name: v.Name, Dataset: v.Dataset, Status: "refused", Why: v.Failure}
		if d := s.Dataset(v.Dataset); d != nil && !s.MayUse(d, by) {
			shown.Why = joined(v.Failure, "The volume belongs to another owner.")
		} else if d != nil {
			if d.Member != nil && d.Member.User != nil {
				shown.Instance = d.Member.User.Instance
			}
			whole := detail(s, d, mesos, now)
			shown.Status, shown.Why = whole.Status, joined(v.Failure, whole.Why)
			if places := s.ExplainPlaces(app, d); places != "" {
				shown.Why += " " + places
			}
			if whole.Holder != nil {
				shown.Node, shown.Host = whole.Holder.ID, whole.Holder.Name()
			}
		} else if v.Dataset != "" {
			shown.Status, shown.Why = string(cluster.StatusDestroyed), "The dataset "+string(v.Dataset)+" that the app had is no more. When the app is started it gets a new one."
		}
		full.VolumeDetails = append(full.VolumeDetails, shown)
	}
	return full
}

// joined returns two explanations as one.
func joined(first, second string) string {
	if first == "" {
		return second
	}
	return first + ". " + second
}
