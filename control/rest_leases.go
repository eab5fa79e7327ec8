package control

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// lease is a lease as Flocker shows it.
type lease struct {
	Dataset api.DatasetID `json:"dataset_id"`
	Node    api.NodeID    `json:"node_uuid"`
	Expires *seconds      `json:"expires"` // still to go, null for ever
}

// expiryText says when a lease ends.
func expiryText(l *api.Lease) string {
	if l.Expires.IsZero() {
		return "never"
	}
	return l.Expires.Format(time.RFC3339)
}

func leaseAt(l *api.Lease, now time.Time) lease {
	shown := lease{Dataset: l.Dataset, Node: l.Node}
	if !l.Expires.IsZero() {
		left := seconds(float64(l.Expires.UnixMicro()-now.UnixMicro()) / 1e6)
		shown.Expires = &left
	}
	return shown
}

// seconds are a number that has a fraction in JSON, as in Flocker's answers:
// 30.0. There are clients to whom 30 would be another type.
type seconds float64

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(s), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

func (a *rest) listLeases(w http.ResponseWriter, r *request) error {
	s, now, leases := a.replica.State(), a.now(), []lease{}
	for l := range s.Leases() {
		if !s.MaySeeLease(l, r.who.actor()) {
			continue
		}
		leases = append(leases, leaseAt(l, now))
	}
	reply(w, http.StatusOK, leases)
	return nil
}

func (a *rest) acquireLease(w http.ResponseWriter, r *request) error {
	var body struct {
		Dataset string   `json:"dataset_id"`
		Node    string   `json:"node_uuid"`
		Expires *float64 `json:"expires"`
	}
	if err := r.decode(&body); err != nil {
		return err
	}
	c := cluster.AcquireLease{At: a.now(), By: r.who.actor(), Dataset: api.DatasetID(strings.ToLower(body.Dataset)), Node: nodeID(body.Node)}
	if body.Expires != nil {
		c.Expires = after(c.At, *body.Expires)
	}
	res, err := a.decide(r, c)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if res.New {
		status = http.StatusCreated
		a.log.Info("lease was acquired", "dataset", c.Dataset, "node", nodeName(res.State, c.Node), "expires", expiryText(res.Lease), "by", r.who.name)
	}
	reply(w, status, leaseAt(res.Lease, c.At))
	return nil
}

func (a *rest) releaseLease(w http.ResponseWriter, r *request) error {
	id, err := uuid.Parse(r.path("dataset_id"))
	if err != nil { // the document has seen to it
		return api.FieldErrorf("dataset_id", "%v", err)
	}
	c := cluster.ReleaseLease{At: a.now(), By: r.who.actor(), Dataset: api.DatasetID(id.String())}
	res, err := a.decide(r, c)
	if err != nil {
		return err
	}
	a.log.Info("lease was released", "dataset", c.Dataset, "node", nodeName(res.State, res.Lease.Node), "by", r.who.name)
	reply(w, http.StatusOK, leaseAt(res.Lease, c.At))
	return nil
}

// after returns the time some seconds after another one, or before it: Flocker
// takes a lease that has ended already. The document bounds it to what is a date.
func after(t time.Time, s float64) time.Time {
	whole, part := math.Modf(s)
	return time.Unix(t.Unix()+int64(whole), int64(t.Nanosecond())+int64(math.Round(part*1e6))*1e3).UTC()
}
