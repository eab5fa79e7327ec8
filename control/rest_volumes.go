package control

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// maxWait is how long a user can wait for a change in one call: what is in
// between gives up calls that take longer.
const maxWait = 25 * time.Second

// getVolume shows one dataset, by its id or its name. With
// ?wait=DURATION&after=ETAG it does so when the dataset is another than the one
// with the ETag, or when the time is over.
func (a *rest) getVolume(w http.ResponseWriter, r *request) error {
	name, after := r.path("name"), r.query("after")
	wait, err := parseWait(r.query("wait"))
	if err != nil {
		return err
	}
	full, err := a.volume(r, name)
	if err != nil {
		return err
	}
	tag := tagOf(full)
	if wait > 0 && after == tag {
		ok, crowded := a.waits.begin(r.who, maxWaits, waitsOfOne)
		if !ok {
			a.metrics.limited.WithLabelValues("waits").Inc()
			return errNoShare(r.who, "waiting", crowded, maxWaits, waitsOfOne)
		}
		defer a.waits.end(r.who)
		if full, tag, err = a.anotherVolume(r, full.Dataset.ID, tag, wait); err != nil {
			return err
		}
	}
	w.Header().Set("ETag", tag)
	reply(w, http.StatusOK, full)
	return nil
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, api.FieldErrorf("wait", "%q is not a duration such as 20s", text)
	}
	return min(wait, maxWait), nil
}

// anotherVolume waits until a dataset has another tag, or for a while, and
// returns it as it is then.
func (a *rest) anotherVolume(r *request, id api.DatasetID, tag string, wait time.Duration) (*api.DatasetDetail, string, error) {
	changed, stop := a.replica.watchers.watch(id)
	defer stop()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for {
		// It is looked at after the watch began, so that nothing falls between.
		full, err := a.volume(r, api.RefID+string(id))
		if err != nil {
			return nil, "", err
		}
		if now := tagOf(full); now != tag {
			return full, now, nil
		}
		select {
		case <-changed:
			continue
		case <-limit.C:
		case <-a.stopping:
		case <-r.Context().Done():
			return nil, "", r.Context().Err()
		}
		return full, tag, nil
	}
}

// volume returns the dataset that a name or an id means, if the caller may see it.
func (a *rest) volume(r *request, name string) (*api.DatasetDetail, error) {
	s := a.replica.State()
	d, err := s.Resolve(name, r.who.actor())
	if err != nil {
		return nil, err
	}
	return detail(s, d, a.evidence(s), a.now()), nil
}

// tagOf returns the ETag of a dataset in full. It is a weak one: the explanation
// also tells how long things last.
func tagOf(full *api.DatasetDetail) string {
	sum := sha256.New()
	// What is sent as JSON can be encoded, and a hash can be written to.
	_ = json.NewEncoder(sum).Encode(struct {
		Dataset *api.Dataset
		State   *api.DatasetState
		Holder  *api.Node
		Lease   *api.Lease
	}{full.Dataset, full.State, full.Holder, full.Lease})
	return `W/"` + hex.EncodeToString(sum.Sum(nil)[:12]) + `"`
}

// detail returns a dataset in full, with the evidence of Mesos.
func detail(s *cluster.State, d *api.Dataset, mesos evidence, now time.Time) *api.DatasetDetail {
	full := &api.DatasetDetail{Dataset: d, State: s.ShownState(d), Lease: s.Lease(d.ID)}
	if d.Holder != nil {
		full.Holder = withoutAgent(s.Node(d.Holder.Node))
	}
	status, why := cluster.Explain(d, full.State, full.Lease, s.Node, mesos, now)
	full.Status, full.Why = string(status), why
	if more := s.ExplainMember(d, now); more != "" {
		full.Why += " " + more
	}
	return full
}
