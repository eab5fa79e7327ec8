package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

// terminal is one on which somebody types.
func terminal(t *testing.T, types string) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if _, err := master.WriteString(types + "\n"); err != nil {
		t.Fatal(err)
	}
	return slave
}

func TestNodeIsGivenUpOnlyAfterConfirmation(t *testing.T) {
	agent := func(state api.MesosState, change ...func(*api.MesosAgent)) *api.MesosAgent {
		m := &api.MesosAgent{ID: "S0", State: state, Since: before(4 * time.Minute), Heard: now(), Tasks: map[string]int{"TASK_RUNNING": 3}}
		for _, c := range change {
			c(m)
		}
		return m
	}
	stale := func(m *api.MesosAgent) { m.Stale, m.Heard = true, before(10*time.Minute) }
	const (
		loss     = "db1 holds 1 volume (20GiB) that other nodes may get:\n  orders (aaaaaaaa-0001-4000-8000-000000000001), 20GiB\nGive db1 up only if"
		question = "Type yes to go on: "
		warning  = "WARNING: Mesos has the machine of db1 registered and runs 3 tasks on it."
		refusal  = "Nothing was done: without a terminal to ask at, this needs --yes"
	)
	for name, tt := range map[string]struct {
		mesos     *api.MesosAgent
		connected bool
		types     string // "" for a script
		flags     string
		says      []string // on the standard error
		err       string   // "" where the node is given up
	}{
		"without Mesos, a script":            {err: loss},
		"without Mesos, a script is refused": {err: refusal},
		"without Mesos, a script with --yes": {flags: "--yes"},
		"without Mesos, yes":                 {types: "yes", says: []string{loss, question}},
		"without Mesos, no":                  {types: "no", says: []string{loss, question}, err: "nothing was done"},
		"without Mesos, --yes at a terminal": {types: "no", flags: "-y"},
		"unreachable, a script":              {mesos: agent(api.MesosUnreachable), says: []string{"Mesos: unreachable since 2026-03-14T15:05:26Z (4m), 3 tasks\n"}, err: refusal},
		"unreachable, a script with --yes":   {mesos: agent(api.MesosUnreachable), flags: "-y", says: []string{"Mesos: unreachable since 2026-03-14T15:05:26Z (4m), 3 tasks\n"}},
		"unreachable, yes":                   {mesos: agent(api.MesosUnreachable), types: "yes", says: []string{"Mesos: unreachable", loss, question}},
		"gone":                               {mesos: agent(api.MesosGone), flags: "-y", says: []string{"Mesos: gone for good, as an operator has told Mesos, since 2026-03-14T15:05:26Z (4m), 3 tasks\n"}},
		"registered, a script":               {mesos: agent(api.MesosRegistered), says: []string{"Mesos: registered", warning}, err: "give --force --yes"},
		"registered, a script with --yes":    {mesos: agent(api.MesosRegistered), flags: "--yes", says: []string{warning}, err: "give --force --yes"},
		"registered, a script with --force":  {mesos: agent(api.MesosRegistered), flags: "--force", says: []string{"Mesos: registered"}, err: refusal},
		"registered, a script with both":     {mesos: agent(api.MesosRegistered), flags: "--force --yes", says: []string{"Mesos: registered"}},
		"registered, the name":               {mesos: agent(api.MesosRegistered), types: "db1", says: []string{warning, "Type db1 to go on: "}},
		"registered, yes":                    {mesos: agent(api.MesosDraining), types: "yes", says: []string{warning}, err: "nothing was done"},
		"registered, --yes at a terminal":    {mesos: agent(api.MesosDeactivated), types: "no", flags: "-y", says: []string{warning}, err: "nothing was done"},
		"registered, --force at a terminal":  {mesos: agent(api.MesosRegistered), types: "yes", flags: "--force", says: []string{loss, question}},
		"registered, a while ago":            {mesos: agent(api.MesosRegistered, stale), flags: "-y", says: []string{"(4m), 3 tasks; its masters have not answered since 2026-03-14T14:59:26Z (10m)\n"}},
		"disconnected":                       {mesos: agent(api.MesosDisconnected), flags: "-y", says: []string{"Mesos: disconnected"}},
		"an agent that is connected":         {mesos: agent(api.MesosRegistered), connected: true, err: "its agent is connected"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			n := &api.NodeDetail{Node: &api.Node{ID: node3, Hostname: "db1", Connected: tt.connected, Since: before(time.Minute)}, Held: 2, Mesos: tt.mesos}
			c.Answer("GET /v1/nodes", http.StatusOK, []*api.NodeDetail{n})
			c.Answer("GET /v1/nodes/"+string(node3), http.StatusOK, n)
			held := &api.DatasetDetail{Status: "unreachable", Dataset: &api.Dataset{ID: ordersID, Size: 20 << 30, Metadata: map[string]string{"name": "orders"},
				Holder: &api.Holder{Node: node3}}}
			c.Do("GET /v1/volumes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, []*api.DatasetDetail{held}) })
			c.Answer("POST /v1/nodes/"+string(node3)+"/lost", http.StatusOK, n)
			if tt.connected {
				c.Answer("POST /v1/nodes/"+string(node3)+"/lost", http.StatusConflict, api.Errorf(api.CodeConflict, "its agent is connected"))
			}
			if tt.types != "" {
				c.in = terminal(t, tt.types)
			}
			_, stderr, err := c.run(t, append([]string{"nodes", "lost", "db1"}, strings.Fields(tt.flags)...)...)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			words := strings.Join(strings.Fields(stderr), " ")
			for _, want := range tt.says {
				if !strings.Contains(stderr, want) && !strings.Contains(words, want) {
					t.Errorf("got %q, want %q in it", stderr, want)
				}
			}
			if len(tt.says) == 0 && stderr != "" {
				t.Errorf("got %q, want nothing", stderr)
			}
			asked := slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.HasPrefix(r, "POST") })
			if asked != (tt.err == "" || tt.connected) {
				t.Errorf("got requests %q", c.Requests())
			}
		})
	}
}

func TestStatusSaysHowTheMastersOfMesosAre(t *testing.T) {
	for want, m := range map[string]*api.MesosMasters{
		"": nil,
		"Mesos     its masters were not heard yet\n":                                         {},
		"Mesos     3 agents registered at http://a:5050\n":                                   {Leader: "http://a:5050", Agents: 3, Heard: now()},
		"Mesos     its masters have never answered: 401\n":                                   {Cause: "401"},
		"Mesos     its masters have not answered since 2026-03-14T15:08:26Z (1m): refused\n": {Cause: "refused", Heard: before(time.Minute)},
	} {
		c := newCluster(t)
		s := status()
		s.Mesos, s.Nodes = m, nil
		c.Answer("GET /v1/status", http.StatusOK, s)
		out, _, err := c.run(t, "status")
		if err != nil || !strings.Contains(out, want) || strings.Contains(out, "Mesos") != (want != "") {
			t.Errorf("got %v and\n%s\nwant %q in it", err, out, want)
		}
	}
}
