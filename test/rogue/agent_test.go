package rogue

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

func TestANodeCertificateSpeaksForItsOwnNodeVolumesAndInstanceAlone(t *testing.T) {
	dir, all := certificates(t)
	users, agents := service(t, dir)
	rules := func(pair *tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*pair}}
	}
	user, err := client.New(client.Config{Endpoints: []string{users}, TLS: rules(all["user"])})
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	connect := func(name string, hello api.Hello) (*client.Session, error) {
		t.Helper()
		a, err := client.NewAgent(client.Config{Endpoints: []string{agents}, TLS: rules(all[name])})
		if err != nil {
			t.Fatal(err)
		}
		return a.Connect(t.Context(), hello)
	}
	said := api.Hello{Hostname: "node1", Era: "e1", Agent: "the-secret-of-the-agent", Instance: "i-1", Backend: "loopback", Version: "1"}
	honest, err := connect("node", said)
	if err != nil {
		t.Fatal(err)
	}
	defer honest.Close()
	victim, err := honest.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: "db"}})
	if err != nil {
		t.Fatal(err)
	}
	report := func(s *client.Session, r api.DatasetReport) *api.Error {
		t.Helper()
		reply, err := s.Report(t.Context(), api.Report{Datasets: []api.DatasetReport{r}})
		if err != nil {
			t.Fatal(err)
		}
		return reply.Refused[r.State.ID]
	}
	state := func(d *api.Dataset) api.DatasetState {
		return api.DatasetState{ID: d.ID, Epoch: d.Epoch, Phase: api.PhaseMounted}
	}
	volume := api.Volume{ID: string(victim.ID), Backend: "loopback", Size: victim.Size}
	if refused := report(honest, api.DatasetReport{State: state(victim), Volume: &volume}); refused != nil {
		t.Fatal(refused)
	}

	t.Log("another node's instance, and another agent of the same node")
	lie := api.Hello{Hostname: "node1", Era: "e1", Agent: "rogue", Instance: "I-1", Backend: "loopback", Version: "1"}
	if _, err := connect("rogue node", lie); api.CodeOf(err) != api.CodeConflict || !strings.Contains(err.Error(), "allow-instance") {
		t.Errorf("an instance of another node: got %v", err)
	}
	if _, err := connect("node", lie); api.CodeOf(err) != api.CodeConflict {
		t.Errorf("a second agent: got %v", err)
	}
	lie.Instance = "i-2"
	rogue, err := connect("rogue node", lie)
	if err != nil {
		t.Fatal(err)
	}
	defer rogue.Close()
	own, err := rogue.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: "own"}})
	if err != nil {
		t.Fatal(err)
	}

	t.Log("the other's volume, for a dataset of its own, and reports about the other's dataset")
	for what, r := range map[string]api.DatasetReport{
		"its volume":       {State: state(own), Volume: &volume},
		"its volume, big":  {State: state(own), Volume: &api.Volume{ID: strings.ToUpper(volume.ID), Backend: "loopback", Size: own.Size}},
		"a state":          {State: state(victim)},
		"a release":        {State: api.DatasetState{ID: victim.ID, Epoch: victim.Epoch, Phase: api.PhaseDetached}, Release: true},
		"a destruction":    {State: api.DatasetState{ID: victim.ID, Epoch: victim.Epoch, Phase: api.PhaseNonExistent}, Release: true, Destroyed: true},
		"a begun fence":    {State: state(victim), Fence: &api.FenceReport{Begin: true}},
		"a done fence":     {State: state(victim), Fence: &api.FenceReport{Done: true}},
		"a size":           {State: state(victim), Volume: &api.Volume{ID: volume.ID, Backend: "loopback", Size: 1 << 50}},
		"an endless size":  {State: state(own), Volume: &api.Volume{ID: "v", Backend: "loopback", Size: 1 << 60}},
		"a future tenure":  {State: api.DatasetState{ID: victim.ID, Epoch: victim.Epoch + 1, Phase: api.PhaseMounted}},
		"a volume's owner": {State: state(own), Volume: &api.Volume{ID: string(victim.ID), Backend: "LOOPBACK", Size: own.Size}},
	} {
		if report(rogue, r) == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	full, err := user.Volume(t.Context(), "db")
	if err != nil || !full.Dataset.HeldBy(node) || *full.Dataset.Volume != volume || full.Dataset.Epoch != victim.Epoch {
		t.Errorf("got %+v, %v, want the victim as it was", full, err)
	}

	t.Log("no answer has the agent's identity")
	transport := &http.Transport{TLSClientConfig: rules(all["reader"])}
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/v1/nodes", "/v1/nodes/" + node, "/v1/status", "/v1/volumes", "/v1/volumes/db", "/v1/watch"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+users+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 1<<20)
		n := 0
		for n < len(text) && !strings.Contains(string(text[:n]), "event: synced") {
			m, err := resp.Body.Read(text[n:])
			if n += m; err != nil {
				break
			}
		}
		_ = resp.Body.Close()
		if got := string(text[:n]); strings.Contains(got, said.Agent) || strings.Contains(got, "sha256:") || !strings.Contains(got, node) {
			t.Errorf("%s: got %s", path, got)
		}
	}
}
