package cli_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/usage"
)

const (
	ordersID = "aaaaaaaa-0001-4000-8000-000000000001"
	queueID  = "bbbbbbbb-0005-4000-8000-000000000005"
)

// changing adds answers to what changes something.
func (c *cluster) changing() {
	c.Answer("POST /v1/configuration/datasets", http.StatusCreated, client.Dataset{ID: ordersID})
	c.Answer("POST /v1/configuration/datasets/"+ordersID, http.StatusOK, client.Dataset{ID: ordersID})
	c.Answer("DELETE /v1/configuration/datasets/"+ordersID, http.StatusOK, client.Dataset{ID: ordersID})
	c.Answer("PATCH /v1/volumes/"+ordersID, http.StatusOK, volumes()[1])
	rest := 600.0
	c.Answer("POST /v1/configuration/leases", http.StatusCreated, client.Lease{Dataset: ordersID, Node: node1, Expires: &rest})
	c.Answer("DELETE /v1/configuration/leases/"+ordersID, http.StatusOK, client.Lease{Dataset: ordersID, Node: node1})
	c.Answer("POST /v1/nodes/"+string(node1)+"/drain", http.StatusOK, api.NodeDetail{Node: node(node1), Held: 2})
	c.Answer("POST /v1/nodes/"+string(node3)+"/instance", http.StatusOK, api.NodeDetail{Node: node(node3)})
	c.Answer("POST /v1/nodes/"+string(node3)+"/lost", http.StatusOK, api.NodeDetail{Node: node(node3), Held: 1})
}

func TestCommandsAskForWhatTheySayTheyDo(t *testing.T) {
	c := newCluster(t)
	c.changing()
	for args, want := range map[string]struct{ request, says string }{
		"volumes create --name x --node node1.example.net --size 1GiB -m a=b,c=d --profile gold": {
			`"primary":"` + string(node1) + `","maximum_size":1073741824,"metadata":{"a":"b","c":"d","clusterhq:flocker:profile":"gold","name":"x"}}`,
			"Created " + ordersID + ".\n",
		},
		"volumes create --name x --node node1.example.net --user 1000 --permissions 750": {
			`"primary":"` + string(node1) + `","metadata":{"name":"x"},"user":"1000:1000","permissions":"0750"}`,
			"Created " + ordersID + ".\n",
		},
		"volumes move prod.orders-db.data --to 192.0.2.11": {
			"POST /v1/configuration/datasets/" + ordersID + ` {"primary":"` + string(node2) + `"}`, "Moving prod.orders-db.data to node2.example.net.\n",
		},
		"volumes move aaaa --to 4b2f -o name": {`{"primary":"` + string(node1) + `"}`, "prod.orders-db.data\n"},
		"volumes grow prod.orders-db.data 50GiB": {
			"PATCH /v1/volumes/" + ordersID + ` {"size":53687091200}`, "Growing prod.orders-db.data to 50GiB.\n",
		},
		"volumes change prod.orders-db.data -m tier=1 --remove team --name orders": {
			"PATCH /v1/volumes/" + ordersID + ` {"metadata":{"name":"orders","team":null,"tier":"1"}}`, "Changed prod.orders-db.data.\n",
		},
		"volumes destroy -y AAAAAAAA-0001-4000-8000-000000000001": {"DELETE /v1/configuration/datasets/" + ordersID, "Destroying prod.orders-db.data.\n"},
		"leases acquire prod.orders-db.data --node node1.example.net --for 10m": {
			`{"dataset_id":"` + ordersID + `","node_uuid":"` + string(node1) + `","expires":600}`,
			"node1.example.net has a lease of prod.orders-db.data. It ends in 10m.\n",
		},
		"leases release prod.orders-db.data":  {"DELETE /v1/configuration/leases/" + ordersID, "Lease of prod.orders-db.data released.\n"},
		"nodes drain node1.example.net":       {"POST /v1/nodes/" + string(node1) + "/drain", "node1.example.net gets no further volumes. It has 2 now"},
		"nodes allow-instance 192.0.2.12 i-7": {"POST /v1/nodes/" + string(node3) + `/instance {"instance":"i-7"}`, "may announce the instance i-7"},
		"nodes lost 192.0.2.12 -y":            {"POST /v1/nodes/" + string(node3) + "/lost", "is given up. Other nodes can get what it holds: 1 volume."},
		"version --server":                    {"GET /v1/version", "control service 1.2.3\n"},
	} {
		out, _, err := c.run(t, strings.Fields(args)...)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if !strings.Contains(out, want.says) {
			t.Errorf("%s: got %q, want %q", args, out, want.says)
		}
		if !slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.Contains(r, want.request) }) {
			t.Errorf("%s: got %q, want a request with %q", args, c.Requests(), want.request)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	c := newCluster(t)
	for args, want := range map[string]struct {
		text  string
		usage bool
	}{
		"volume":                                 {}, // shows help
		"volumes lst":                            {`there is no command "lst"; did you mean "list"?`, true},
		"volumes list --statu failing":           {`unknown flag: --statu; did you mean --status?`, true},
		"volumes list --status broken":           {`--status "broken": want one of mounted, preparing`, true},
		"volumes list -m x":                      {`--metadata "x": want KEY=VALUE`, true},
		"volumes list -o xml":                    {`--output "xml": want table, wide, json, yaml or name`, true},
		"volumes list --node nowhere":            {`there is no node with the name, address or id "nowhere"; there are: node1.example.net, node2`, false},
		"volumes list x":                         {`volumes list: expected no arguments, got 1`, true},
		"volumes show":                           {`volumes show: expected at least one volume, got 0`, true},
		"volumes change a b":                     {`volumes change: expected one volume, got 2`, true},
		"volumes show nothing":                   {"there is no volume with the name or id \"nothing\"; `flocker volumes list` shows all", false},
		"volumes show bbbb":                      {`"bbbb" can mean any of 2 volumes; give the whole id (id:ID) or the name (name:NAME):` + "\n  bbbbbbbb-0002-4000-8000-000000000002  cache", false},
		"volumes show eeee":                      {`there is no volume with the name or id "eeee"`, false},
		"volumes create --node node1":            {`--name is missing`, true},
		"volumes create --name x":                {`--node is missing: which node? There are: node1.example.net, node2.example.net`, true},
		"volumes create --name x --size 1k":      {`--size: "1k" is too small: the smallest size is 64MiB`, true},
		"volumes move queue --to 9c1d":           {`"9c1d" can mean any of 2 nodes; give the whole id (id:ID) or the name (name:NAME):` + "\n  " + string(node2) + "  node2.example.net, 192.0.2.11", false},
		"volumes move queue --to " + queueID:     {`there is no node with the name, address or id "` + queueID + `"`, false},
		"volumes grow queue":                     {`volumes grow: expected a volume and its new size, got 1`, true},
		"volumes grow queue big":                 {`SIZE: "big" is not a size`, true},
		"volumes grow queue 1GiB":                {`SIZE 1GiB: queue has 20GiB, and a volume never becomes smaller`, false},
		"volumes change queue":                   {`what should change? Say so with --name, --metadata or --remove`, true},
		"volumes change queue -m a=b --remove a": {`--remove a: it is given a new value as well`, true},
		"volumes wait queue --for ever":          {`--for "ever": want mounted, detached, destroyed or grown`, true},
		"volumes wait queue --timeout 0s":        {`--timeout 0s: want a duration such as 5m`, true},
		"volumes destroy queue --timeout 1m":     {`--timeout says how long to --wait, and is of no use without it`, true},
		"volumes destroy queue --wait --timeout -1s": {
			`--timeout -1s: want a duration`, true,
		},
		"volumes destroy queue --wait=1m --timeout 2m": {`--wait=1m0s and --timeout 2m0s say the same`, true},
		"volumes destroy queue --wait=never":           {`want nothing, or a duration such as 30s`, true},
		"leases acquire queue":                         {`--node is missing: which node?`, true},
		"leases acquire queue --node 4b2f --for -1s":   {`--for -1s: want a duration such as 10m, or 0`, true},
		"leases release queue":                         {"no node has a lease of queue; `flocker leases list` shows all", false},
		"leases release queue nothing":                 {`there is no volume with the name or id "nothing"`, false},
		"leases release queue prod.orders-db.data":     {"queue: no node has a lease of queue", false},
		"volumes share queue nothing --with role:a":    {`there is no volume with the name or id "nothing"`, false},
		"volumes unshare queue nothing --with role:a":  {`there is no volume with the name or id "nothing"`, false},
		"marathon forget":                              {`expected at least one app or pod, got 0`, true},
		"context use x":                                {"\"x\": there is no such context, nor any other; `flocker context set x --control-service HOST` makes it", false},
		"nodes list --control-port 0":                  {`flag --control-port: "0" is not a port`, false},
		"nodes list --context x":                       {`--context "x": there is no such context`, true},
		"nodes list --user nobody":                     {"nobody.crt", false},
		"nodes list --control-port 1":                  {"connection refused", false},
	} {
		_, _, err := c.run(t, strings.Fields(args)...)
		if want.text == "" {
			if err != nil {
				t.Errorf("%s: got %v, want no error", args, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: got %v, want %q", args, err, want.text)
			continue
		}
		if _, got := errors.AsType[*usage.Error](err); got != want.usage {
			t.Errorf("%s: %v: a mistake of the command line: got %v, want %v", args, err, got, want.usage)
		}
	}
}

func TestRefusalsOfTheControlServiceAreShown(t *testing.T) {
	c := newCluster(t)
	c.Answer("PATCH /v1/volumes/"+ordersID, http.StatusConflict, api.Errorf(api.CodeConflict, "The name orders is taken by dataset x."))
	if _, _, err := c.run(t, "volumes", "change", "prod.orders-db.data", "--name", "orders"); api.CodeOf(err) != api.CodeConflict ||
		err.Error() != "The name orders is taken by dataset x." {
		t.Errorf("got %v", err)
	}
}

func TestOneVolumeIsFoundWithoutFetchingAll(t *testing.T) {
	c := newCluster(t)
	for _, text := range []string{"queue", queueID, strings.ToUpper(queueID), "bbbbbbbb-0005", "BBBBBBBB-0005"} {
		if out, _, err := c.run(t, "volumes", "show", text, "-o", "name"); err != nil || out != "queue\n" {
			t.Errorf("%s: got %q, %v", text, out, err)
		}
	}
	for _, request := range c.Requests() {
		if strings.HasPrefix(request, "GET /v1/volumes?") && !strings.Contains(request, "id=bbbbbbbb-0005") {
			t.Errorf("got %q, want no list without a query", request)
		}
	}
}

func TestListsAreFilteredAlsoWhereTheControlServiceDoesNot(t *testing.T) {
	c := newCluster(t)
	for args, want := range map[string]string{
		"--status failing":     "日本語の名前がとても長いボリューム\n",
		"--node 9c1d2":         "日本語の名前がとても長いボリューム\n",
		"--name queue":         "queue\n",
		"--metadata team=shop": "prod.orders-db.data\n",
		"-m team=shop,name=x":  "",
		"--node 192.0.2.12":    "cache\\x1b[31m\\nred\n",
	} {
		out, _, err := c.run(t, append([]string{"volumes", "list", "-o", "name"}, strings.Fields(args)...)...)
		if err != nil || out != want {
			t.Errorf("%s: got %q, %v, want %q", args, out, err, want)
		}
	}
	for _, want := range []string{"status=failing", "node=" + string(node2), "name=queue", "metadata=team%3Dshop"} {
		if !slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.Contains(r, want) }) {
			t.Errorf("got %q, want the control service to be asked for %q", c.Requests(), want)
		}
	}
}
