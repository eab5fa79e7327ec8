package cli_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// deleting answers the deletion of two volumes.
func (c *cluster) deleting() {
	for _, id := range []string{ordersID, queueID} {
		c.Answer("DELETE /v1/configuration/datasets/"+id, http.StatusOK, client.Dataset{ID: api.DatasetID(id)})
	}
}

func TestSeveralVolumesAreDestroyed(t *testing.T) {
	const both = "prod.orders-db.data queue"
	for name, tt := range map[string]struct {
		args    string
		answers func(*cluster)
		deletes int
		out     string
		err     string
	}{
		"both":                  {args: both + " --yes", deletes: 2, out: "Destroying prod.orders-db.data.\nDestroying queue.\n"},
		"the same twice":        {args: "queue bbbbbbbb-0005 --yes", deletes: 1, out: "Destroying queue.\n"},
		"both, unconfirmed":     {args: both, err: "This destroys 2 volumes (40GiB) and all data on them"},
		"a mistyped name":       {args: both + " qeue --yes", err: `there is no volume with the name or id "qeue"`},
		"two mistyped names":    {args: "x queue y --yes", err: "\"x\"; `flocker volumes list` shows all, with --deleted also those that are gone\nthere is no volume with the name or id \"y\""},
		"one that stays":        {args: both + " --yes", answers: refuseOrders, deletes: 2, out: "Destroying queue.\n", err: "prod.orders-db.data: it is leased"},
		"none":                  {args: "", err: "expected at least one volume, got 0"},
		"one that stays, alone": {args: "prod.orders-db.data --yes", answers: refuseOrders, deletes: 1, err: "it is leased"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.deleting()
			if tt.answers != nil {
				tt.answers(c)
			}
			out, _, err := c.run(t, append([]string{"volumes", "destroy"}, strings.Fields(tt.args)...)...)
			if out != tt.out {
				t.Errorf("got %q, want %q", out, tt.out)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			requests := slices.DeleteFunc(c.Requests(), func(r string) bool { return !strings.HasPrefix(r, "DELETE") })
			if len(requests) != tt.deletes {
				t.Errorf("got requests %q, want %d", requests, tt.deletes)
			}
		})
	}
}

func refuseOrders(c *cluster) {
	c.Answer("DELETE /v1/configuration/datasets/"+ordersID, http.StatusConflict, api.Errorf(api.CodeConflict, "it is leased"))
}

func TestConfirmationNamesWhatIsLost(t *testing.T) {
	c := newCluster(t)
	c.deleting()
	c.in = terminal(t, "no")
	_, stderr, err := c.run(t, "volumes", "destroy", "prod.orders-db.data", "queue")
	if err == nil || err.Error() != "nothing was done" {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		"This destroys 2 volumes (40GiB) and all data on them, and cannot be undone:\n",
		"  prod.orders-db.data (" + ordersID + "), 20GiB, used by /prod/orders-db, mesos 9f8e7d6c on node1.example.net, leased by node " + string(node1) + "\n",
		"  queue (" + queueID + "), 20GiB",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q in it", stderr, want)
		}
	}
	c.in = terminal(t, "yes")
	if out, _, err := c.run(t, "volumes", "rm", "queue"); err != nil || out != "Destroying queue.\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestProgramsReadSeveralVolumesAsAList(t *testing.T) {
	c := newCluster(t)
	c.deleting()
	for args, several := range map[string]bool{"queue": false, "queue prod.orders-db.data": true} {
		out, _, err := c.run(t, append([]string{"volumes", "destroy", "--yes", "-o", "json"}, strings.Fields(args)...)...)
		if err != nil {
			t.Fatal(err)
		}
		var list []api.DatasetDetail
		if err := json.Unmarshal([]byte(out), &list); (err == nil) != several {
			t.Errorf("%s: got %v for %s, want a list: %v", args, err, out, several)
		}
	}
}

func TestStatusGroupsTheVolumesOfALostNode(t *testing.T) {
	c := newCluster(t)
	s := status()
	s.Troubles = nil
	for i := range 25 {
		d := stage("unreachable", func(d *api.DatasetDetail) {
			d.Dataset.Metadata["name"] = "db-" + strconv.Itoa(i)
			d.Holder = node(node3)
			d.Dataset.Holder = &api.Holder{Node: node3}
		})
		if i == 24 {
			d.Dataset.Waiting = []api.Waiter{{Node: node1}}
			d.Why = "It is waited for:\nby node1"
		} else {
			d.Dataset.Waiting = nil
		}
		s.Troubles = append(s.Troubles, d)
	}
	s.AllTroubles, s.AllDamaged = 30, 7
	c.Answer("GET /v1/status", http.StatusOK, s)
	out, _, err := c.run(t, "status")
	if err != nil {
		t.Fatal(err)
	}
	for want, times := range map[string]int{
		"example.net: 25 volumes unreachable\n": 1, "and 5 more.": 1, "is unreachable": 0, "For example: It is waited for: by node1\n": 1,
		`\n`: 0, "... and 5 more": 1, "Records   7 set aside": 1,
	} {
		if got := strings.Count(out, want); got != times {
			t.Errorf("got %d times %q, want %d, in\n%s", got, want, times, out)
		}
	}
}

func TestWideListNamesUsersInFull(t *testing.T) {
	c := newCluster(t)
	for format, want := range map[string]string{"wide": "mesos 9f8e7d6c-container", "table": "mesos 9f8e7d6c\n"} {
		if out, _, err := c.run(t, "volumes", "list", "-o", format); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %v and\n%s\nwant %q in it", format, err, out, want)
		}
	}
}

func TestSeveralVolumesAreShown(t *testing.T) {
	c := newCluster(t)
	out, _, err := c.run(t, "volumes", "inspect", "queue", "nosuch", "prod.orders-db.data", "-o", "name")
	if out != "queue\nprod.orders-db.data\n" || err == nil || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestProgramsReadNothingOfOneThatFails(t *testing.T) {
	for _, tt := range []struct{ method, path, args string }{
		{"POST", "/v1/nodes/" + string(node1) + "/drain", "nodes drain " + string(node1)},
		{"DELETE", "/v1/configuration/leases/" + ordersID, "leases release prod.orders-db.data"},
		{"DELETE", "/v1/configuration/datasets/" + ordersID, "volumes destroy --yes prod.orders-db.data"},
	} {
		c := newCluster(t)
		c.Answer(tt.method+" "+tt.path, http.StatusConflict, api.Errorf(api.CodeConflict, "refused"))
		out, _, err := c.run(t, append(strings.Fields(tt.args), "-o", "json")...)
		if out != "" || err == nil || err.Error() != "refused" {
			t.Errorf("%s: got %q, %v", tt.args, out, err)
		}
	}
}
