package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/controltest"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is when all tests happen.
func now() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }

func before(d time.Duration) time.Time { return now().Add(-d) }

const (
	node1 = api.NodeID("4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111")
	node2 = api.NodeID("9c1d2e3f-7a6b-4c5d-8e9f-102132435465")
	node3 = api.NodeID("9c1d0000-7a6b-4c5d-8e9f-102132435465")
)

func nodes() []*api.Node {
	return []*api.Node{
		{ID: node2, Hostname: "node2.example.net", Address: "192.0.2.11", Instance: "i-0b", Backend: "loopback", Version: "1.0.0",
			Stream: 1, Connected: true, Since: before(3 * time.Hour), Draining: before(time.Minute), CertificateExpires: now().Add(12 * 24 * time.Hour),
			MesosTrouble: &api.MesosTrouble{Kind: api.MesosDenied, Since: before(2 * time.Minute),
				Cause: "the Mesos agent at http://192.0.2.11:5051 answers 401: it refuses calls without credentials; set mesos.user and mesos.password-file in agent.yml"}},
		{ID: node1, Hostname: "node1.example.net", Address: "192.0.2.10", Instance: "i-0a", Backend: "loopback", Version: "1.0.0", Zone: "rack-1",
			Stream: 3, Connected: true, Since: before(72 * time.Hour), Era: "56780f44-0499-4153-9352-92344b180021", Replica: "0e3a7a52-1111-4222-8333-444455556666",
			Capabilities: []string{"grow", "witness"}, AllocationUnit: 4096, CertificateExpires: now().Add(400 * 24 * time.Hour)},
		{ID: node3, Hostname: "数据库-データベース.example.net", Address: "192.0.2.12", Instance: "i-0c", Backend: "loopback", Version: "1.0.0",
			Stream: 2, Since: before(90 * time.Second), GivenUp: before(30 * time.Second)},
	}
}

func node(id api.NodeID) *api.Node {
	all := nodes()
	return all[slices.IndexFunc(all, func(n *api.Node) bool { return n.ID == id })]
}

// inMesos is what Mesos says of the nodes.
func inMesos(id api.NodeID) *api.MesosAgent {
	m := &api.MesosAgent{ID: "6b2f9f0a-S0", Hostname: "node", State: api.MesosRegistered, Since: before(72 * time.Hour), Heard: before(3 * time.Second),
		Tasks: map[string]int{"TASK_RUNNING": 2}}
	switch id {
	case node2:
		return nil
	case node3:
		m.State, m.Since, m.Tasks = api.MesosUnreachable, before(20*time.Second), map[string]int{"TASK_UNREACHABLE": 3}
	}
	return m
}

func nodeDetails() []*api.NodeDetail {
	var all []*api.NodeDetail
	for _, n := range nodes() {
		all = append(all, &api.NodeDetail{Node: n, Held: 2, Waiting: 1, Mesos: inMesos(n.ID)})
	}
	return all
}

// volumes are one of each kind.
func volumes() []*api.DatasetDetail {
	detail := func(id, name, status, why string, holder api.NodeID, change func(*api.DatasetDetail)) *api.DatasetDetail {
		d := &api.DatasetDetail{Status: status, Why: why, Dataset: &api.Dataset{
			ID: api.DatasetID(id), Metadata: map[string]string{}, Size: 20 << 30, FS: api.FSExt4, Created: before(48 * time.Hour), Primary: node1,
		}}
		if name != "" {
			d.Dataset.Metadata[api.MetadataName] = name
		}
		if holder != "" {
			d.Holder = node(holder)
			d.Dataset.Holder = &api.Holder{Node: holder, Since: before(time.Hour)}
		}
		if change != nil {
			change(d)
		}
		return d
	}
	return []*api.DatasetDetail{
		detail("dddddddd-0004-4000-8000-000000000004", "", "detached", "Dataset dddddddd is not in use.", "", nil),
		detail("aaaaaaaa-0001-4000-8000-000000000001", "prod.orders-db.data", "mounted",
			"Dataset prod.orders-db.data is mounted on node1.example.net at /flocker/aaaaaaaa-0001-4000-8000-000000000001 since 13:09:26Z. "+
				"/prod/orders-db uses it.", node1, func(d *api.DatasetDetail) {
				d.Dataset.Metadata["team"] = "shop"
				d.Dataset.Volume = &api.Volume{ID: "vol-1", Backend: "loopback", Size: 20 << 30, Zone: "rack-1"}
				d.Dataset.Size = 40 << 30
				d.Lease = &api.Lease{Dataset: d.Dataset.ID, Node: node1, Expires: now().Add(10 * time.Minute)}
				d.State = &api.DatasetState{
					ID: d.Dataset.ID, Node: node1, Phase: api.PhaseMounted, Since: before(2 * time.Hour), Path: "/flocker/" + string(d.Dataset.ID), Device: "/dev/loop7",
					Consumers: []api.Consumer{
						{ID: "0a1b2c3d-container", Kind: api.ConsumerMesos, App: "/prod/orders-db", Since: before(2 * time.Hour)},
						{ID: "9f8e7d6c-container", Kind: api.ConsumerMesos, Since: before(time.Hour), ReadOnly: true},
					},
				}
			}),
		detail("cccccccc-0003-4000-8000-000000000003", "日本語の名前がとても長いボリューム", "failing",
			"Dataset cccccccc belongs to node2.example.net. It cannot attach the volume.", node2, func(d *api.DatasetDetail) {
				d.Dataset.Volume = &api.Volume{ID: "vol-3", Backend: "loopback", Size: 1 << 40}
				d.State = &api.DatasetState{
					ID: d.Dataset.ID, Node: node2, Phase: api.PhaseDetached, Since: before(50 * time.Second), Action: "attach the volume",
					Failure: &api.Failure{Action: "attach the volume", Cause: "no such device", Since: before(40 * time.Second), Attempts: 3, NextTry: now().Add(4 * time.Second)},
				}
			}),
		detail("bbbbbbbb-0002-4000-8000-000000000002", "cache\x1b[31m\nred", "unreachable", "Its node is silent.", node3, nil),
		detail("bbbbbbbb-0005-4000-8000-000000000005", "queue", "waiting", "Dataset queue is wanted by node2.", node1, func(d *api.DatasetDetail) {
			d.Dataset.Waiting = []api.Waiter{{Node: node2, Since: before(5 * time.Second)}}
		}),
	}
}

func status() *api.ClusterStatus {
	all := volumes()
	s := &api.ClusterStatus{
		Cluster: "5d8f4a4a-9a52-4d7a-9e0a-111111111111", Replica: "0e3a7a52-1111-4222-8333-444455556666", Version: "1.0.0",
		Store: "consul://127.0.0.1:8500/flocker", Revision: 4711, Now: now(), Settings: api.Settings{OnLostNode: api.FenceWait}, Datasets: 5,
		Marathon: &api.MarathonStatus{Leader: "10.0.0.5:8080", Version: "1.11.24", Framework: "f-0000", Read: before(12 * time.Second), Events: true, Owner: "control1"},
		Replicas: []*api.Replica{
			{ID: "0e3a7a52-1111-4222-8333-444455556666", Name: "control1", Users: "192.0.2.1:4523", Agents: "192.0.2.1:4524", Version: "1.0.0", Started: before(96 * time.Hour)},
			{ID: "77777777-1111-4222-8333-444455556666", Name: "control2", Users: "192.0.2.2:4523", Agents: "192.0.2.2:4524", Version: "1.0.0", Started: before(96 * time.Hour), Lost: before(5 * time.Minute)},
		},
		Troubles: all[2:4], AllTroubles: 7,
	}
	s.Nodes = nodeDetails()
	s.Mesos = &api.MesosMasters{Leader: "http://192.0.2.21:5050", Heard: before(3 * time.Second), Agents: 12, Stream: true}
	return s
}

// cluster is a control service that is played, and how commands reach it.
type cluster struct {
	*controltest.Service

	env    map[string]string
	screen output.Screen
	clock  func() time.Time // nil for now
	in     io.Reader        // nil for nothing
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	certs := controltest.Certificates(t)
	c := &cluster{Service: controltest.Start(t, certs, false)}
	c.env = map[string]string{
		"FLOCKER_CONTROL_SERVICE": c.Host, "FLOCKER_CONTROL_PORT": c.Port, "FLOCKER_CERTS_PATH": certs, "FLOCKER_USER": controltest.User,
		"FLOCKER_CONFIG": filepath.Join(t.TempDir(), "config.yml"), "HOME": t.TempDir(),
	}
	all := volumes()
	c.Do("GET /v1/volumes", c.listVolumes)
	for _, d := range all {
		c.Answer("GET /v1/volumes/"+string(d.Dataset.ID), http.StatusOK, d)
		if name := d.Dataset.Name(); name != "" {
			c.Answer("GET /v1/volumes/"+name, http.StatusOK, d)
		}
	}
	c.Answer("GET /v1/nodes", http.StatusOK, nodeDetails())
	for _, n := range nodeDetails() {
		n.Held, n.Waiting = 1, 0
		c.Answer("GET /v1/nodes/"+string(n.ID), http.StatusOK, n)
	}
	c.Answer("GET /v1/status", http.StatusOK, status())
	c.Answer("GET /v1/version", http.StatusOK, map[string]string{"flocker": "1.2.3"})
	rest := 93.5
	c.Answer("GET /v1/configuration/leases", http.StatusOK, []client.Lease{
		{Dataset: "eeeeeeee-0009-4000-8000-000000000009", Node: node2}, {Dataset: all[1].Dataset.ID, Node: node1, Expires: &rest},
	})
	c.Answer("GET /v1/backends", http.StatusOK, []*api.BackendDetail{
		{Name: "loopback", AllocationUnit: 4096, Capabilities: []string{"grow", "guard"}, Nodes: []api.NodeID{node1, node2}, Volumes: 12, Bytes: 3 << 40},
		{Name: "cinder", Nodes: []api.NodeID{node3}},
	})
	c.Answer("GET /v1/marathon/apps", http.StatusOK, marathonView())
	c.Answer("DELETE /v1/reclaims/"+string(all[4].Dataset.ID), http.StatusOK, all[4])
	return c
}

// marathonView has an app of each kind.
func marathonView() *api.MarathonView {
	instance := func(app string, n int, state, host string, node api.NodeID) api.AppInstance {
		return api.AppInstance{ID: fmt.Sprintf("%s.instance-%d%d%d%d0c1a-1567-11f1-9d6a-0242ac110002._app.1", app, n, n, n, n), State: state, Host: host, Node: node}
	}
	member := func(n int) string { return fmt.Sprintf("kafka.data.%d", n) }
	return &api.MarathonView{
		Marathon: &api.MarathonStatus{Leader: "10.0.0.5:8080", Version: "1.11.24", Framework: "f-0000", Read: before(12 * time.Second), Events: true, Owner: "control1"},
		Apps: []*api.AppDetail{
			{App: &api.App{
				ID: "/kafka", Framework: "f-0000", Version: "2026-03-01T10:00:00.000Z", Wanted: 2, Revision: 8,
				Volumes:   []api.AppVolume{{Key: "data", Name: member(0), Set: "kafka.data"}, {Key: "data", Name: member(1), Set: "kafka.data"}, {Key: "data", Name: member(2), Set: "kafka.data"}},
				Instances: []api.AppInstance{instance("kafka", 1, api.TaskRunning, "node1.example.net", node1), instance("kafka", 2, api.TaskStaging, "node2.example.net", node2)},
			}, VolumeDetails: []api.AppVolumeDetail{
				{Key: "data", Name: member(0), Status: "mounted", Why: "It is mounted.", Instance: "kafka.instance-11110c1a-1567-11f1-9d6a-0242ac110002"},
				{Key: "data", Name: member(1), Status: "preparing", Why: "Dataset kafka.data.1 is being attached to node2.example.net.", Instance: "kafka.instance-22220c1a-1567-11f1-9d6a-0242ac110002"},
				{Key: "data", Name: member(2), Status: "detached", Why: "It is not in use."},
			}},
			{App: &api.App{
				ID: "/prod/orders-db", Framework: "f-0000", Version: "2026-03-01T10:00:00.000Z", Wanted: 1, Revision: 7,
				Volumes:   []api.AppVolume{{Key: "data", Name: "prod.orders-db.data", Reclaim: api.ReclaimDelete}},
				Instances: []api.AppInstance{instance("prod_orders-db", 3, api.TaskUnreachable, "node3.example.net", "")},
			}, VolumeDetails: []api.AppVolumeDetail{
				{Key: "data", Name: "prod.orders-db.data", Status: "unreachable", Why: "Its node is silent."},
			}, Why: "Mesos cannot reach node3.example.net: its container may be running and writing all the same."},
			{App: &api.App{
				ID: "/suspended\x1b[31m", Framework: "f-0000", Version: "2026-03-01T10:00:00.000Z", Revision: 7, Volumes: []api.AppVolume{{Key: "data", Name: "x", Failure: "size: 1 is too little"}},
			}, VolumeDetails: []api.AppVolumeDetail{{Key: "data", Name: "x", Status: "refused", Why: "size: 1 is too little"}}},
		},
	}
}

// listVolumes knows of queries what every control service must.
func (c *cluster) listVolumes(w http.ResponseWriter, r *http.Request) {
	all := volumes()
	if id := r.URL.Query().Get("id"); id != "" {
		all = slices.DeleteFunc(all, func(d *api.DatasetDetail) bool { return !strings.HasPrefix(string(d.Dataset.ID), id) })
	}
	writeJSON(w, all)
}

// run runs one command line as the program would.
func (c *cluster) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return c.runIn(t.Context(), args...)
}

func (c *cluster) runIn(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	clock := now
	if c.clock != nil {
		clock = c.clock
	}
	env := &cli.Env{
		Version: "9.9.9",
		Locate: func(names string, port uint16) (client.Config, error) {
			return client.Config{Endpoints: strings.Split(names, ","), Port: portText(port)}, nil
		},
		AgentReplicas: func(file string) (string, error) {
			text, err := os.ReadFile(file)
			return strings.TrimSpace(string(text)), err
		},
		LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok },
		Now:       clock,
		Screen:    func(io.Writer) output.Screen { return c.screen },
	}
	root := usage.Group(&cobra.Command{Use: "flocker", SilenceErrors: true, SilenceUsage: true}, cli.Commands(env)...)
	root.SetFlagErrorFunc(usage.FlagError)
	root.SetArgs(cli.Args(args))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader(""))
	if c.in != nil {
		root.SetIn(c.in)
	}
	err = root.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n-update writes it anew", name, got, want)
	}
}
