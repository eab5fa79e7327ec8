package cli_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// aBeginning is a name that is also the beginning of the id of prod.orders-db.data.
const aBeginning = "aaaaaaaa"

func TestTextsThatMeanSeveralVolumesAreRefused(t *testing.T) {
	c := newCluster(t)
	hex := stage("detached", func(d *api.DatasetDetail) { d.Dataset.Metadata["name"] = aBeginning })
	short := stage("detached", func(d *api.DatasetDetail) { d.Dataset.Metadata["name"] = "aaa" })
	for text, d := range map[string]*api.DatasetDetail{aBeginning: hex, "name:" + aBeginning: hex, "aaa": short} {
		c.Answer("GET /v1/volumes/"+text, http.StatusOK, d)
	}
	both := api.Errorf(api.CodeConflict, "%q can mean 2 datasets: say id:%s for dataset prod.orders-db.data, or id:%s for dataset %s", ordersID, ordersID, queueID, ordersID)
	c.Answer("DELETE /v1/configuration/datasets/"+queueID, http.StatusOK, map[string]string{})
	const id2 = "dddddddd-0004-4000-8000-000000000004"
	c.Answer("GET /v1/volumes/"+id2, http.StatusConflict, both)
	for args, want := range map[string]string{
		"destroy --yes " + aBeginning:      `"aaaaaaaa" can mean any of 2 volumes; give the whole id (id:ID) or the name (name:NAME):` + "\n  " + queueID + "  aaaaaaaa, detached\n  " + ordersID,
		"show " + aBeginning:               `can mean any of 2 volumes`,
		"destroy --yes name:" + aBeginning: "",
		"show aaa":                         "", // too short for an id where it is a name
		"destroy --yes " + id2:             "can mean 2 datasets",
		"show " + id2:                      "can mean 2 datasets",
		"grow " + id2 + " 1TiB":            "can mean 2 datasets",
		"move " + id2 + " --to 4b2f":       "can mean 2 datasets",
		"wait " + id2:                      "can mean 2 datasets",
		"undelete " + id2:                  "can mean 2 datasets",
		"chown " + id2 + " role:x":         "can mean 2 datasets",
		"share " + id2 + " --with role:x":  "can mean 2 datasets",
		"change " + id2 + " --name x":      "can mean 2 datasets",
	} {
		_, _, err := c.run(t, append([]string{"volumes"}, strings.Fields(args)...)...)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
	deletions := slices.DeleteFunc(c.Requests(), func(r string) bool { return strings.HasPrefix(r, "GET") })
	if len(deletions) != 1 || !strings.HasPrefix(deletions[0], "DELETE /v1/configuration/datasets/"+queueID) {
		t.Errorf("got %q, want one change: the deletion of the volume that was named", deletions)
	}
}

func TestNodesAreMeantByAnySpelling(t *testing.T) {
	c := newCluster(t)
	all := nodeDetails()
	imposter := *all[0].Node
	imposter.ID, imposter.Hostname = "77777777-7a6b-4c5d-8e9f-102132435465", string(node1)
	short := *all[0].Node
	short.ID, short.Hostname = "88888888-7a6b-4c5d-8e9f-102132435465", "9c1d2e3f"
	c.Answer("GET /v1/nodes", http.StatusOK, append(all, &api.NodeDetail{Node: &imposter}, &api.NodeDetail{Node: &short}))
	for _, n := range []*api.Node{&imposter, &short} {
		c.Answer("GET /v1/nodes/"+string(n.ID), http.StatusOK, &api.NodeDetail{Node: n})
	}
	for text, want := range map[string]string{
		"node2.example.net":                        "node2.example.net\n",
		strings.ToUpper(string(node2)):             "node2.example.net\n",
		strings.ReplaceAll(string(node2), "-", ""): "node2.example.net\n",
		"9c1d2e3f7a":                               "node2.example.net\n",
		"id:" + string(node1):                      "node1.example.net\n",
		"name:" + string(node1):                    string(node1) + "\n",
		"name:9c1d2e3f":                            "9c1d2e3f\n",
		"id:9c1d2e3f":                              "node2.example.net\n",
		string(node1):                              "",
		"9c1d2e3f":                                 "",
	} {
		out, _, err := c.run(t, "nodes", "show", text, "-o", "name")
		if out != want || want == "" && (err == nil || !strings.Contains(err.Error(), "can mean any of 2 nodes")) {
			t.Errorf("%s: got %q, %v, want %q", text, out, err, want)
		}
	}
}
