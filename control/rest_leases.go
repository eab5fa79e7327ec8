package control

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func (a *rest) leaseRoutes(s *server) {
	s.handle("/v1/configuration/leases", methods{
		http.MethodGet:  a.getLeases,
		http.MethodPost: a.acquireLease,
	})
	s.handle("/v1/configuration/leases/{dataset_id}", methods{http.MethodDelete: a.releaseLease})
}

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

func (a *rest) getLeases(w http.ResponseWriter, _ *http.Request, _ caller) error {
	now, leases := a.now(), []lease{}
	for l := range a.replica.State().Leases() {
		leases = append(leases, leaseAt(l, now))
	}
	reply(w, http.StatusOK, leases)
	return nil
}

func (a *rest) acquireLease(w http.ResponseWriter, r *http.Request, who caller) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	c, err := parseLease(body, a.now())
	if err != nil {
		return err
	}
	res, err := a.replica.Do(r.Context(), c)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if res.New {
		status = http.StatusCreated
		a.log.Info("lease was acquired", "dataset", c.Dataset, "node", nodeName(res.State, c.Node), "expires", expiryText(res.Lease), "by", who.name)
	}
	reply(w, status, leaseAt(res.Lease, c.At))
	return nil
}

func (a *rest) releaseLease(w http.ResponseWriter, r *http.Request, who caller) error {
	text := mux.Vars(r)["dataset_id"]
	id, err := uuid.Parse(text)
	if err != nil {
		return api.FieldErrorf("dataset_id", "%q is not a UUID: it is the id of the dataset whose lease is to be released", text)
	}
	c := cluster.ReleaseLease{At: a.now(), Dataset: api.DatasetID(id.String())}
	res, err := a.replica.Do(r.Context(), c)
	if err != nil {
		return err
	}
	a.log.Info("lease was released", "dataset", c.Dataset, "node", nodeName(res.State, res.Lease.Node), "by", who.name)
	reply(w, http.StatusOK, leaseAt(res.Lease, c.At))
	return nil
}

// parseLease reads what lease is to be acquired, at a time.
func parseLease(body []byte, now time.Time) (cluster.AcquireLease, error) {
	o, err := parseObject(body, "dataset_id", "node_uuid", "expires")
	if err != nil {
		return cluster.AcquireLease{}, err
	}
	o.require("dataset_id")
	o.require("node_uuid")
	o.require("expires")
	c := cluster.AcquireLease{
		At: now, Dataset: api.DatasetID(o.uuid("dataset_id")), Node: api.NodeID(o.uuid4("node_uuid")), Expires: o.expires("expires", now),
	}
	return c, o.err()
}

// uuid returns a UUID of any version in lower case, "" where there is none.
func (o *object) uuid(name string) string {
	raw, ok := o.properties[name]
	if !ok {
		return ""
	}
	text, ok := asString(raw)
	id, err := uuid.Parse(text)
	switch {
	case !ok:
		o.mistake("%s: %s is not of type 'string'", name, shorten(raw))
	case err != nil || utf8.RuneCountInString(text) != len(id.String()):
		o.mistake("%s: %s is not a UUID of 36 characters", name, shorten(raw))
	default:
		return id.String()
	}
	return ""
}

// Between these a date can be written in JSON, and is not the one that stands
// for never.
var (
	firstDate = time.Date(1, time.January, 2, 0, 0, 0, 0, time.UTC)
	lastDate  = time.Date(9998, time.December, 31, 0, 0, 0, 0, time.UTC)
)

// expires returns when something ends that is said to last for a number of
// seconds from now on, zero where that is null: never. Less than nothing is
// accepted, since Flocker does: it has ended already.
func (o *object) expires(name string, now time.Time) time.Time {
	raw, ok := o.properties[name]
	if !ok || string(raw) == "null" {
		return time.Time{}
	}
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil || raw[0] == '"' {
		o.mistake("%s: %s is not of type 'number', 'null'", name, shorten(raw))
		return time.Time{}
	}
	// What a float cannot hold is infinite, and so out of range below.
	lasts, _ := n.Float64()
	whole, part := math.Modf(lasts)
	if whole < float64(firstDate.Unix()-now.Unix()) || whole > float64(lastDate.Unix()-now.Unix()) {
		o.mistake("%s: %s seconds from now are no date: give a number of seconds that ends before the year 9999, or null for a lease that does not expire",
			name, shorten(raw))
		return time.Time{}
	}
	return time.Unix(now.Unix()+int64(whole), int64(now.Nanosecond())+int64(math.Round(part*1e6))*1e3).UTC()
}
