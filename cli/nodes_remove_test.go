package cli_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

func TestNodeIsRemovedOnlyAfterConfirmation(t *testing.T) {
	const (
		gone   = "db1 (" + string(node3) + ") is removed for good, with its leases"
		zone   = "No other node is in its zone b, so these volumes are forgotten with it, and no node will find their data:"
		volume = "orders (" + string(ordersID) + "), 20GiB"
	)
	for name, tt := range map[string]struct {
		types, flags string
		connected    bool
		neighbour    bool     // another node is in the zone
		says         []string // on the standard error, or in the error
		err          string   // "" where the node is removed
		asks         bool     // the control service
	}{
		"a script":                     {says: []string{gone}, err: "this needs --yes"},
		"a script with --yes":          {flags: "--yes", asks: true},
		"yes":                          {types: "yes", says: []string{gone}, asks: true},
		"no":                           {types: "no", says: []string{gone}, err: "nothing was done"},
		"connected":                    {connected: true, err: "the agent is connected", asks: true},
		"leftovers, a script":          {flags: "--leftovers", says: []string{zone, volume}, err: "this needs --yes"},
		"leftovers, yes":               {flags: "--leftovers", types: "yes", says: []string{zone, volume}, asks: true},
		"leftovers, with a neighbour":  {flags: "--leftovers", types: "yes", neighbour: true, says: []string{gone}, asks: true},
		"leftovers, with --yes script": {flags: "--leftovers -y", asks: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			n := &api.NodeDetail{Node: &api.Node{ID: node3, Hostname: "db1", Zone: "b", Connected: tt.connected, Since: before(time.Hour),
				CertificateExpires: now().Add(400 * 24 * time.Hour)}}
			all := []*api.NodeDetail{n}
			if tt.neighbour {
				all = append(all, &api.NodeDetail{Node: &api.Node{ID: node1, Hostname: "db2", Zone: "b"}})
			}
			c.Answer("GET /v1/nodes", http.StatusOK, all)
			c.Answer("GET /v1/nodes/"+string(node3), http.StatusOK, n)
			left := &api.DatasetDetail{Dataset: &api.Dataset{ID: ordersID, Size: 20 << 30, Metadata: map[string]string{"name": "orders"},
				Volume: &api.Volume{ID: "v", Zone: "b", Size: 20 << 30}}}
			elsewhere := &api.DatasetDetail{Dataset: &api.Dataset{ID: "x", Metadata: map[string]string{"name": "other"}, Volume: &api.Volume{ID: "w", Zone: "a"}}}
			c.Do("GET /v1/volumes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, []*api.DatasetDetail{left, elsewhere}) })
			c.Answer("DELETE /v1/nodes/"+string(node3), http.StatusOK, n)
			if tt.connected {
				c.Answer("DELETE /v1/nodes/"+string(node3), http.StatusConflict, api.Errorf(api.CodeConflict, "the agent is connected"))
			}
			if tt.types != "" {
				c.in = terminal(t, tt.types)
			}
			stdout, stderr, err := c.run(t, append([]string{"nodes", "remove", "db1"}, strings.Fields(tt.flags)...)...)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			said := stderr
			if err != nil {
				said += err.Error()
			}
			words := strings.Join(strings.Fields(said), " ")
			for _, want := range tt.says {
				if !strings.Contains(words, want) {
					t.Errorf("got %q, want %q in it", said, want)
				}
			}
			if strings.Contains(said, "other") && strings.Contains(said, "20GiB)") {
				t.Errorf("got %q, which names a volume of another zone", said)
			}
			if tt.err == "" && (!strings.Contains(stdout, "db1 is removed.") || !strings.Contains(strings.Join(strings.Fields(stdout), " "), "flocker ca revoke "+string(node3)+".crt")) {
				t.Errorf("got %q", stdout)
			}
			asked := slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.HasPrefix(r, "DELETE") })
			if asked != tt.asks {
				t.Errorf("got requests %q", c.Requests())
			}
		})
	}
}
