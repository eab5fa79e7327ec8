package control

import (
	"maps"
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// shareVolume lets other owners use a dataset, or ends that.
func (a *rest) shareVolume(w http.ResponseWriter, r *request) error {
	var body api.Share
	if err := r.decode(&body); err != nil {
		return err
	}
	found, err := a.volume(r, r.path("name"))
	if err != nil {
		return err
	}
	return a.changed(w, r, "shares of a dataset were changed", cluster.ShareDataset{
		At: a.now(), By: r.who.actor(), ID: found.Dataset.ID, With: body.With, End: body.End,
	})
}

// changeOwner gives a dataset to another owner.
func (a *rest) changeOwner(w http.ResponseWriter, r *request) error {
	var body struct {
		Owner api.Owner `json:"owner"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	found, err := a.volume(r, r.path("name"))
	if err != nil {
		return err
	}
	return a.changed(w, r, "dataset has another owner", cluster.ChangeOwner{
		At: a.now(), By: r.who.actor(), ID: found.Dataset.ID, Owner: body.Owner,
	})
}

// changed has a change of a dataset decided, and shows the dataset in full.
func (a *rest) changed(w http.ResponseWriter, r *request, message string, cmd cluster.Command) error {
	res, err := a.decide(r, cmd)
	if err != nil {
		return err
	}
	if d := res.Dataset; len(res.Changes) > 0 {
		a.log.Info(message, "dataset", d.ID, "name", d.Name(), "owner", d.Owner.String(), "shared", d.Shared, "by", r.who.name)
	}
	full := detail(res.State, res.Dataset, a.evidence(res.State), a.now())
	w.Header().Set("ETag", tagOf(full))
	reply(w, http.StatusOK, full)
	return nil
}

// getTenancy shows whether owners are kept apart, what each has, and which uses there are
// by callers that a dataset does not belong to.
func (a *rest) getTenancy(w http.ResponseWriter, r *request) error {
	reply(w, http.StatusOK, tenancyView(a.replica.State(), r.who.actor()))
	return nil
}

func (a *rest) setTenancy(w http.ResponseWriter, r *request) error {
	var body struct {
		Tenancy api.Tenancy `json:"tenancy"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	res, err := a.decide(r, cluster.SetTenancy{At: a.now(), By: r.who.actor(), Tenancy: body.Tenancy})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Warn("tenancy was changed", "tenancy", body.Tenancy, "by", r.who.name)
	}
	reply(w, http.StatusOK, tenancyView(res.State, r.who.actor()))
	return nil
}

func tenancyView(s *cluster.State, by cluster.Actor) api.TenancyView {
	view := api.TenancyView{Tenancy: s.Tenancy(), Owners: quotasOf(s, by).Owners, Losing: []api.ForeignUse{}}
	if by.Operator {
		view.Losing = slices.AppendSeq(view.Losing, s.ForeignUses())
	}
	return view
}

func (a *rest) listQuotas(w http.ResponseWriter, r *request) error {
	reply(w, http.StatusOK, quotasOf(a.replica.State(), r.who.actor()))
	return nil
}

func (a *rest) setQuota(w http.ResponseWriter, r *request) error {
	var body api.Quota
	if err := r.decode(&body); err != nil {
		return err
	}
	owner := api.Owner(r.path("owner"))
	res, err := a.decide(r, cluster.SetQuota{At: a.now(), By: r.who.actor(), Owner: owner, Quota: body})
	if err != nil {
		return err
	}
	if len(res.Changes) > 0 {
		a.log.Info("quota was changed", "owner", owner, "volumes", body.Volumes, "bytes", body.Bytes, "by", r.who.name)
	}
	reply(w, http.StatusOK, quotasOf(res.State, r.who.actor()))
	return nil
}

// quotasOf returns what owners have and may have: to a tenant its own.
func quotasOf(s *cluster.State, by cluster.Actor) api.Quotas {
	shown := api.Quotas{Owners: []api.OwnerUsage{}}
	owners := map[api.Owner]bool{}
	if by.Operator {
		for owner := range s.Usages() {
			owners[owner] = true
		}
		for key, quota := range s.Meta().Quotas {
			if key == api.QuotaDefault {
				shown.Default = &quota
			} else {
				owners[api.Owner(key)] = true
			}
		}
	} else {
		owners[by.Owner] = true
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		one := api.OwnerUsage{Owner: owner, Usage: s.Usage(owner)}
		if q, own, ok := s.Quota(owner); ok {
			one.Quota, one.Default = &q, !own
		}
		shown.Owners = append(shown.Owners, one)
	}
	return shown
}
