package control_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

const (
	leases   = "/v1/configuration/leases"
	dataset2 = "bbbbbbbb-0002-4000-8000-00000000000b"
)

// leaseBody is the body of an acquisition.
func leaseBody(dataset, node, expires string) string {
	return `{"dataset_id": "` + dataset + `", "node_uuid": "` + node + `", "expires": ` + expires + `}`
}

// leaseAnswer is how a lease is answered.
func leaseAnswer(dataset, node, expires string) string {
	return `{"dataset_id":"` + dataset + `","node_uuid":"` + node + `","expires":` + expires + `}`
}

func TestLeasesAreAcquiredRenewedAndReleasedAsInFlocker(t *testing.T) {
	c := newWorld(t).raw()
	c.want("GET", leases, "", 200, `[]`)
	// Neither the dataset nor the node exists, and its id need not be of version 4.
	other := "cccccccc-0003-1000-0000-00000000000c"
	c.want("POST", leases, leaseBody(strings.ToUpper(other), strings.ToUpper(nodeA), "30"), 201, leaseAnswer(other, nodeA, "30.0"))
	c.want("POST", leases, leaseBody(dataset1, nodeA, "null"), 201, leaseAnswer(dataset1, nodeA, "null"))
	for expires, answer := range map[string]string{
		"null": "null", "3600": "3600.0", "30.5": "30.5", "29.7": "29.7", "1e2": "100.0", "60.123456": "60.123456", "2e11": "200000000000.0",
	} {
		c.want("POST", leases, leaseBody(dataset1, nodeA, expires), 200, leaseAnswer(dataset1, nodeA, answer))
	}
	c.want("POST", leases, leaseBody(dataset1, nodeA, "1000"), 200, leaseAnswer(dataset1, nodeA, "1000.0"))
	for _, expires := range []string{"1000", "0", "null"} {
		c.want("POST", leases, leaseBody(dataset1, nodeB, expires), 409, `{"description":"Lease already held."}`)
	}
	c.want("POST", leases, leaseBody(dataset2, nodeB, "null"), 201, leaseAnswer(dataset2, nodeB, "null"), "X-If-Configuration-Matches", "of no configuration")
	c.want("GET", leases, "", 200, "["+leaseAnswer(dataset1, nodeA, "999.*")+","+leaseAnswer(dataset2, nodeB, "null")+","+leaseAnswer(other, nodeA, "29.*")+"]")

	// Anybody may release it, and write its id in any way.
	c.want("DELETE", leases+"/"+dataset1, "", 200, leaseAnswer(dataset1, nodeA, "999.*"), "X-If-Configuration-Matches", "of no configuration")
	c.want("DELETE", leases+"/"+dataset1, "", 404, `{"description":"Lease not found."}`)
	c.want("DELETE", leases+"/"+strings.ToUpper(dataset2), "", 200, leaseAnswer(dataset2, nodeB, "null"))
	c.want("DELETE", leases+"/"+strings.ReplaceAll(other, "-", ""), "", 200, leaseAnswer(other, nodeA, "29.*"))
	c.want("DELETE", leases+"/db", "", 400, `{"description":"dataset_id: \"db\" is not a UUID*`)
	c.want("GET", leases, "", 200, `[]`)
	c.want("POST", leases, leaseBody(dataset1, nodeB, "5e-1"), 201, leaseAnswer(dataset1, nodeB, "0.5"))

	c.want("HEAD", leases, "", 200, ``)
	c.want("DELETE", leases, "", 405, `*`)
	if got := c.want("GET", leases+"/"+dataset1, "", 405, `*`).Header.Get("Allow"); got != "DELETE" {
		t.Errorf("got Allow %q, want DELETE", got)
	}
}

func TestBodiesOfLeasesAreChecked(t *testing.T) {
	c := newWorld(t).raw()
	noDate := func(expires string) string {
		return mistaken + `"expires: ` + expires + ` is *, so that it ends before the year 9999"]}`
	}
	for _, tc := range []struct{ name, body, answer string }{
		{"no body", ``, notJSON},
		{"no JSON", `{`, notJSON},
		{"an array", `[]`, mistaken + `"[] is not of type 'object'"]}`},
		{"nothing in it", `{}`, mistaken + `"'dataset_id', 'node_uuid', 'expires' are required properties"]}`},
		{"an unknown property", strings.Replace(leaseBody(dataset1, nodeA, "1"), "}", `, "id": 1}`, 1), mistaken + `"Additional properties are not allowed ('id' was unexpected)"]}`},
		{"no text as id", leaseBody(dataset1, nodeA, "1")[:15] + `1, "node_uuid": "` + nodeA + `", "expires": 1}`, mistaken + `"dataset_id: 1 is not of type 'string'"]}`},
		{"a short id", leaseBody("db", nodeA, "1"), mistaken + `"dataset_id: \"db\" is not a UUID of 36 characters"]}`},
		{"an id without dashes", leaseBody(strings.ReplaceAll(dataset1, "-", ""), nodeA, "1"), mistaken + `"dataset_id: *is not a UUID of 36 characters"]}`},
		{"36 characters that are no id", leaseBody(strings.Repeat("x", 36), nodeA, "1"), mistaken + `"dataset_id: *is not a UUID of 36 characters"]}`},
		{"a node of version 1", leaseBody(dataset1, "4b2f6f0e-5d8f-1a4a-9a52-0d7ad9e0a111", "1"), mistaken + `"node_uuid: *is not a version 4 UUID"]}`},
		{"an expiry as text", leaseBody(dataset1, nodeA, `"30"`), mistaken + `"expires: \"30\" is not of type 'number' or 'null'"]}`},
		{"an expiry of true", leaseBody(dataset1, nodeA, `true`), mistaken + `"expires: true is not of type 'number' or 'null'"]}`},
		{"an expiry beyond dates", leaseBody(dataset1, nodeA, `1e15`), noDate("1e15")},
		{"an expiry beyond numbers", leaseBody(dataset1, nodeA, `1e999`), noDate("1e999")},
		{"an expiry before dates", leaseBody(dataset1, nodeA, `-1e15`), noDate("-1e15")},
		{"several mistakes", leaseBody("db", "a", `{}`), mistaken + `"dataset_id*","expires*","node_uuid*"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &caller{&world{TB: t, cfg: c.cfg}, c.http}
			c.want("POST", leases, tc.body, 400, tc.answer)
		})
	}
	c.want("GET", leases, "", 200, `[]`)
}

// noLeases waits until there are no leases.
func (w *world) noLeases() {
	w.Helper()
	eventually(w, "there are no leases", func() bool {
		all, err := w.user().Leases(w.Context())
		return err == nil && len(all) == 0
	})
}

func TestLeaseThatIsOverIsAcceptedAndSwept(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("POST", leases, leaseBody(dataset1, nodeA, "0"), 201, leaseAnswer(dataset1, nodeA, "0.0"))
	c.want("POST", leases, leaseBody(dataset2, nodeA, "-1e10"), 201, leaseAnswer(dataset2, nodeA, "-10000000000.0"))
	w.noLeases()
	c.want("DELETE", leases+"/"+dataset1, "", 404, `*`)
}

func TestLeasesAreNoPartOfTheConfiguration(t *testing.T) {
	c := newWorld(t).raw()
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	tag := c.want("GET", datasets, "", 200, `*`).Header.Get("X-Configuration-Tag")
	c.want("POST", leases, leaseBody(dataset1, nodeA, "1000"), 201, `*`)
	// Nor does it hinder calls: it is the agent that holds back.
	c.want("POST", datasets+"/"+dataset1, `{"primary": "`+nodeB+`"}`, 200, `*`, "X-If-Configuration-Matches", tag)
	c.want("DELETE", datasets+"/"+dataset1, "", 200, `*"deleted":true*`)
}

func TestNodeIsToldOfItsLeasesOnly(t *testing.T) {
	w := newWorld(t)
	user := w.user()
	acquire := func(id api.DatasetID, node api.NodeID, d time.Duration) {
		t.Helper()
		if _, err := user.AcquireLease(t.Context(), id, node, d); err != nil {
			t.Fatal(err)
		}
	}
	release := func(id api.DatasetID) {
		t.Helper()
		if _, err := user.ReleaseLease(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	acquire(dataset1, nodeA, 0)
	a, ev := w.connect(nodeA)
	if len(ev.Leases) != 1 || ev.Leases[0].Dataset != dataset1 || !ev.Leases[0].HeldBy(nodeA) {
		t.Fatalf("welcome: got leases %+v, want the one of node a", ev.Leases)
	}
	b, ev := w.connect(nodeB)
	if len(ev.Leases) != 0 {
		t.Fatalf("welcome of node b: got leases %+v", ev.Leases)
	}
	acquire(dataset1, nodeA, time.Hour)
	if ev := w.next(a); len(ev.Leases) != 1 || ev.Leases[0].Expires.IsZero() || len(ev.Unleased) != 0 {
		t.Errorf("renewed: got %+v", ev)
	}
	release(dataset1)
	if ev := w.next(a); len(ev.Leases) != 0 || len(ev.Unleased) != 1 || ev.Unleased[0] != dataset1 {
		t.Errorf("released: got %+v", ev)
	}
	// The first that node b hears is what concerns it.
	acquire(dataset1, nodeB, 0)
	if ev := w.next(b); len(ev.Leases) != 1 || !ev.Leases[0].HeldBy(nodeB) || len(ev.Unleased) != 0 {
		t.Errorf("node b: got %+v", ev)
	}
	acquire(dataset2, nodeA, -time.Second)
	for gone := false; !gone; {
		gone = len(w.next(a).Unleased) == 1
	}
}

func TestLeaseIsShownWithItsDataset(t *testing.T) {
	w := newWorld(t)
	d, err := w.user().Create(t.Context(), client.CreateRequest{ID: dataset1, Primary: nodeA}, "")
	if err != nil {
		t.Fatal(err)
	}
	leased := w.awaiting(d.ID, func(d *api.DatasetDetail) bool { return d.Lease.HeldBy(nodeB) })
	if _, err := w.user().AcquireLease(t.Context(), d.ID, nodeB, time.Hour); err != nil {
		t.Fatal(err)
	}
	<-leased
	released := w.awaiting(d.ID, func(d *api.DatasetDetail) bool { return d.Lease == nil })
	if _, err := w.user().ReleaseLease(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	<-released
}

func TestLeaseSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("POST", leases, leaseBody(dataset1, nodeA, "null"), 201, `*`)
	c.want("POST", leases, leaseBody(dataset2, nodeA, "3600.5"), 201, `*`)
	w.stop()
	w.start()
	c.want("GET", leases, "", 200, "["+leaseAnswer(dataset1, nodeA, "null")+","+leaseAnswer(dataset2, nodeA, "3*")+"]")
}

func TestLeaseOutlivesTheReplicaThatGaveIt(t *testing.T) {
	worlds, logs := newReplicas(t, 2)
	one, two := worlds[0], worlds[1]
	for _, id := range []api.DatasetID{dataset1, dataset2} {
		if _, err := one.user().AcquireLease(t.Context(), id, nodeA, 0); err != nil {
			t.Fatal(err)
		}
	}
	logs[0].set(true) // as dead, for the other one
	_, ev := two.connect(nodeA)
	if len(ev.Leases) != 2 || !ev.Leases[0].HeldBy(nodeA) {
		t.Fatalf("got leases %+v, want both", ev.Leases)
	}
	if _, err := two.user().AcquireLease(t.Context(), dataset1, nodeB, 0); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("acquired by another node: got %v, want a conflict", err)
	}
	// Whoever is there ends it when its time is past.
	for _, id := range []api.DatasetID{dataset1, dataset2} {
		if _, err := two.user().AcquireLease(t.Context(), id, nodeA, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	two.noLeases()
	logs[0].set(false)
	one.noLeases()
}

func TestManyLeasesEndAtOnce(t *testing.T) {
	worlds, _ := newReplicas(t, 2)
	user := worlds[0].user()
	for range 100 {
		if _, err := user.AcquireLease(t.Context(), newID(), nodeA, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range worlds {
		w.noLeases()
	}
}

func TestLeaseIsSweptOnceTheLogIsBack(t *testing.T) {
	worlds, logs := newReplicas(t, 1)
	w := worlds[0]
	if _, err := w.user().AcquireLease(t.Context(), dataset1, nodeA, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	logs[0].set(true)
	c := w.raw()
	eventually(t, "its time is past", func() bool {
		_, text := c.do(http.MethodGet, leases, "")
		return strings.Contains(text, `"expires":-`)
	})
	logs[0].set(false)
	w.noLeases()
}
