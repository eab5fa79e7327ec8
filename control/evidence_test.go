package control_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
)

// mesos says the same of every node that it is asked about.
type mesos struct{ agent api.MesosAgent }

func (m *mesos) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (m *mesos) Agents(nodes []*api.Node) map[api.NodeID]*api.MesosAgent {
	all := map[api.NodeID]*api.MesosAgent{}
	for _, n := range nodes {
		all[n.ID] = &m.agent
	}
	return all
}

func (m *mesos) Masters() *api.MesosMasters {
	return &api.MesosMasters{Leader: "http://192.0.2.1:5050", Heard: m.agent.Heard, Agents: 1, Stream: true}
}

func TestEvidenceOfMesosIsShownBesideWhatFlockerKnows(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	w := &world{TB: t, ca: newAuthority(t), cfg: control.DefaultConfig(), mesos: &mesos{api.MesosAgent{
		ID: "S0", Hostname: "host-a", State: api.MesosUnreachable, Since: now.Add(-4 * time.Minute), Tasks: map[string]int{"TASK_UNREACHABLE": 3}, Heard: now,
	}}}
	w.cfg.Listen, w.cfg.AgentListen, w.cfg.Store, w.cfg.Heartbeat = "127.0.0.1:0", "127.0.0.1:0", "file:"+t.TempDir(), 50*time.Millisecond
	w.start()
	s, _ := w.connect(nodeA)
	d := w.claim(s, "db")
	_ = s.Close()
	eventually(t, "node a is lost", func() bool { return !w.node(nodeA).Connected })

	const said = "Mesos cannot reach its agent there since "
	volume, err := w.user().Volume(t.Context(), "db")
	if err != nil || !strings.Contains(volume.Why, said) || !strings.Contains(volume.Why, "with 3 tasks (TASK_UNREACHABLE).") {
		t.Errorf("the volume: got %+v, %v", volume, err)
	}
	all, err := w.user().Volumes(t.Context(), api.VolumeQuery{})
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Why, said) {
		t.Errorf("the list: got %+v, %v", all, err)
	}
	status, err := w.user().Status(t.Context())
	if err != nil || len(status.Nodes) != 1 || status.Nodes[0].Mesos == nil || status.Mesos == nil || status.Mesos.Leader == "" {
		t.Fatalf("the status: got %+v, %v", status, err)
	}
	nodes, err := w.user().NodesInFull(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Mesos == nil || nodes[0].Mesos.State != api.MesosUnreachable || nodes[0].Held != 1 {
		t.Errorf("the nodes: got %+v, %v", nodes, err)
	}
	// It decides nothing: the dataset stays where it is.
	if volume.Dataset.Holder == nil || volume.Dataset.Holder.Node != nodeA || volume.Dataset.Epoch != d.Epoch {
		t.Errorf("got %+v", volume.Dataset)
	}
	// Every answer is as the document says: the raw caller looks.
	for _, path := range []string{"/v1/status", "/v1/nodes", "/v1/nodes/" + nodeA} {
		if resp, text := w.raw().do(http.MethodGet, path, ""); resp.StatusCode != http.StatusOK || !strings.Contains(text, `"TASK_UNREACHABLE":3`) {
			t.Errorf("%s: got %d %s", path, resp.StatusCode, text)
		}
	}
}
