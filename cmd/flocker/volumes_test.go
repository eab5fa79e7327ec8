package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/pki"
)

// testCluster is a control service, with a node that is connected but does nothing.
type testCluster struct {
	certs   string
	port    string
	node    api.NodeID
	session *client.Session
}

func newCluster(t *testing.T) *testCluster {
	t.Helper()
	d := &devDir{root: t.TempDir()}
	if err := d.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	service, err := d.openControl(devOptions{}, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	host, port, err := net.SplitHostPort(service.UserAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLOCKER_CONTROL_SERVICE", host)
	t.Setenv("FLOCKER_CONTROL_PORT", port)
	t.Setenv("FLOCKER_CERTS_PATH", d.certs())
	t.Setenv("FLOCKER_USER", devUser)
	t.Setenv("FLOCKER_CONFIG", filepath.Join(t.TempDir(), "config.yml")) // and not whoever runs the tests

	c := &testCluster{certs: d.certs(), port: port}
	creds, err := pki.Load(d.certs(), "node", pki.RoleNode, log)
	if err != nil {
		t.Fatal(err)
	}
	_, name, _ := creds.Identity()
	c.node = api.NodeID(name)
	agent, err := client.NewAgent(client.Config{Endpoints: []string{service.AgentAddr().String()}, TLS: creds.Client()})
	if err != nil {
		t.Fatal(err)
	}
	c.session, err = agent.Connect(t.Context(), api.Hello{
		Hostname: "machine", Era: "5d8f4a4a-9a52-4d7a-9e0a-111111111111", Agent: "a", Instance: "i", Backend: "loopback", Version: "1",
		AllocationUnit: 4096, Capabilities: []string{api.CapabilityGrow},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.session.Close() })
	return c
}

// mounted has the node report that it has mounted a dataset, in use by an app.
func (c *testCluster) mounted(t *testing.T, name string) {
	t.Helper()
	d, err := c.session.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	reply, err := c.session.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{{
		Volume: &api.Volume{ID: "vol-1", Backend: "loopback", Size: d.Size},
		State: api.DatasetState{
			ID: d.ID, Node: c.node, Epoch: d.Epoch, Phase: api.PhaseMounted, Since: now, Path: "/flocker/x", Device: "/dev/loop7", Size: d.Size,
			Consumers: []api.Consumer{{ID: "c-1", Kind: api.ConsumerMesos, App: "/prod/db", Since: now, ReadOnly: true}},
		},
	}}})
	if err != nil || len(reply.Refused) > 0 {
		t.Fatalf("report: %v, refused: %v", err, reply)
	}
}

func TestVolumesAreCreatedShownMovedAndDestroyed(t *testing.T) {
	c := newCluster(t)
	steps := []struct {
		args string
		code int
		want string // a regular expression, in what is printed
	}{
		{"nodes list", exitOK, `(?m)^` + string(c.node)[:8] + ` +machine +127.0.0.1 +connected for \d+s +loopback$`},
		{"nodes list -l", exitOK, `(?m)^` + string(c.node) + ` +machine`},
		{"nodes list -o json", exitOK, `"hostname": "machine"`},
		{"volumes list", exitOK, `^NAME +DATASET +SIZE +STATUS +NODE +USED BY\n$`},
		{"volumes create --node machine", exitUsage, `--name is missing`},
		{"volumes create --name x", exitUsage, `which node\? There are: machine`},
		{"volumes create --name x --node nowhere", exitFailure, `no node with the name, address or id "nowhere"`},
		{"volumes create --name x --node machine --size 1k", exitUsage, `--size: .*too small`},
		{"volumes create --name x --node machine -m nonsense", exitUsage, `want KEY=VALUE`},
		{"volumes create --name x --node machine --size 1G -m a=b,c=d --profile gold", exitOK, `^Created [0-9a-f-]{36}\.\n$`},
		{"volumes create --name x --node machine", exitFailure, `Error: .*x`},
		{"volumes create --name y --node " + string(c.node)[:6] + " --wait 300ms", exitFailure, `gave up after 300ms: Dataset y was given to machine`},
		{"volumes list", exitOK, `(?m)^x +[0-9a-f]{8} +1GiB +preparing +machine +-$`},
		{"volumes show x", exitOK, `(?s)Metadata  a=b.*Dataset x was given to machine`},
		{"volumes show x -o name", exitOK, `^x\n$`},
		{"volumes list --status preparing -o name", exitOK, `^x\ny\n$`},
		{"volumes list --status failing -o name", exitOK, `^$`},
		{"volumes list --metadata a=b -o yaml", exitOK, `(?m)^- dataset:\n(?s:.*)    name: x$`},
		{"volumes wait x --timeout 300ms", exitFailure, `(?s)x: preparing.*gave up after 300ms: Dataset x was given`},
		{"volumes lst", exitUsage, `did you mean "list"\? \(List volumes\)\nRun 'flocker volumes --help' for usage`},
		{"version --server", exitOK, `(?m)^control service `},
		{"status -o yaml", exitOK, `(?m)^datasets: 2$`},
		{"__complete volumes show x", exitOK, `^x\tpreparing, machine\n`},
		{"volumes show x -o json", exitOK, `"why": "Dataset x was given to machine`},
		{"volumes show z", exitFailure, `no volume with the name or id "z"`},
		{"volumes show", exitUsage, `expected at least one volume, got 0`},
		{"volumes list -o xml", exitUsage, `--output "xml": want table, wide, json, yaml or name`},
		{"volumes move x", exitUsage, `which node\?`},
		{"volumes move x --to machine", exitOK, `^Moving `},
		{"volumes destroy x --yes", exitOK, `^Destroying `},
		{"volumes list", exitOK, `(?m)^x .* deleting`},
		{"volumes move x --to machine", exitFailure, `The dataset has been deleted`},
	}
	for _, step := range steps {
		code, stdout, stderr := flocker(t, strings.Fields(step.args)...)
		if code != step.code || !regexp.MustCompile(step.want).MatchString(stdout+stderr) {
			t.Errorf("flocker %s: got %d and %s%s\nwant %d and %s", step.args, code, stdout, stderr, step.code, step.want)
		}
	}
}

func TestVolumesInUseAreShownWithTheirUsers(t *testing.T) {
	c := newCluster(t)
	c.mounted(t, "db")
	if _, out, _ := flocker(t, "volumes", "list"); !regexp.MustCompile(`(?m)^db .* mounted +machine +/prod/db$`).MatchString(out) {
		t.Errorf("list: got\n%s", out)
	}
	_, out, _ := flocker(t, "volumes", "show", "db")
	for _, want := range []string{
		"Mounted   /flocker/x from /dev/loop7", "Volume    vol-1 of loopback", "Used by   /prod/db, mesos container c-1, read-only, since ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("show: got\n%s\nwant %q", out, want)
		}
	}
}

func TestVolumesAreLeasedGrownAndChanged(t *testing.T) {
	c := newCluster(t)
	c.mounted(t, "db")
	steps := []struct {
		args string
		code int
		want string
	}{
		{"leases list", exitOK, `^VOLUME +DATASET +NODE +HOSTNAME +ENDS\n$`},
		{"leases acquire db --node machine --for 10m", exitOK, `^machine has a lease of db\. It ends in \d+m\.\n$`},
		{"leases list", exitOK, `(?m)^db +[0-9a-f]{8} +` + string(c.node)[:8] + ` +machine +in \d+m$`},
		{"volumes show db", exitOK, `(?m)^Lease     of node ` + string(c.node) + `, until `},
		{"leases release db", exitOK, `^Lease of db released\.\n$`},
		{"leases release db", exitFailure, `no node has a lease of db`},
		{"volumes grow db 64MiB", exitFailure, `a volume never becomes smaller`},
		{"volumes grow db 20GiB", exitOK, `^Growing db to 20GiB\.\n$`},
		{"volumes show db", exitOK, `(?m)^Size      10GiB, to be grown to 20GiB, ext4$`},
		{"volumes wait db --for grown --timeout 300ms", exitFailure, `gave up after 300ms: Dataset db is mounted .*It is to grow from 10GiB to 20GiB`},
		{"volumes change db --metadata team=shop --name orders", exitOK, `^Changed orders\.\n$`},
		{"volumes list --metadata team=shop -o name", exitOK, `^orders\n$`},
		{"volumes change orders --remove team -o yaml", exitOK, `(?m)^    name: orders$`},
		{"volumes change orders --remove name,team --name x", exitUsage, `--remove name: it is given a new value as well`},
		{"backends -o wide", exitOK, `(?m)^loopback +1 +10GiB +1 `},
		{"volumes destroy orders --yes", exitOK, `^Destroying orders\.\n$`},
		{"volumes wait orders --for destroyed --timeout 300ms", exitFailure, `gave up after 300ms: Dataset orders was deleted`},
	}
	for _, step := range steps {
		code, stdout, stderr := flocker(t, strings.Fields(step.args)...)
		if code != step.code || !regexp.MustCompile(step.want).MatchString(stdout+stderr) {
			t.Errorf("flocker %s: got %d and %s%s\nwant %d and %s", step.args, code, stdout, stderr, step.code, step.want)
		}
	}
}

func TestConnectionIsExplained(t *testing.T) {
	c := newCluster(t)
	other := t.TempDir()
	for name, tt := range map[string]struct {
		env  map[string]string
		args string
		want string
	}{
		"no control service": {map[string]string{"FLOCKER_CONTROL_SERVICE": ""}, "", "--control-service or FLOCKER_CONTROL_SERVICE"},
		"no certificates":    {map[string]string{"FLOCKER_CERTS_PATH": other}, "", "--certs-path (FLOCKER_CERTS_PATH)"},
		"no such user":       {nil, "--user nobody", "nobody.crt"},
		"a node's":           {nil, "--user node", "a user's (CN user-NAME)"},
		"a bad port":         {map[string]string{"FLOCKER_CONTROL_PORT": "x"}, "", `FLOCKER_CONTROL_PORT: "x" is not a port`},
		"nobody listens":     {nil, "--control-port 1", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			code, _, stderr := flocker(t, append([]string{"nodes", "list"}, strings.Fields(tt.args)...)...)
			if code == exitOK || !strings.Contains(stderr, tt.want) {
				t.Errorf("got %d and %q, want %q", code, stderr, tt.want)
			}
		})
	}
	t.Run("the host from agent.yml", func(t *testing.T) {
		t.Setenv("FLOCKER_CONTROL_SERVICE", "")
		agentFile := filepath.Join(c.certs, "agent.yml")
		if err := os.WriteFile(agentFile, []byte("version: 1\ncontrol-service: {hostname: 127.0.0.1}\ndataset: {backend: aws}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := flocker(t, "nodes", "list"); code != exitOK {
			t.Errorf("got %q", stderr)
		}
	})
}
