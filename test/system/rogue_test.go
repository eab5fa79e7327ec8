package system

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// passage listens on this machine and passes connections on from a host.
func passage(t *testing.T, from *lab.Host, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := from.Dial(context.WithoutCancel(t.Context()), "tcp", to)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
				_, _ = io.Copy(near, far)
			}()
		}
	}()
	return l.Addr().String()
}

// TestARogueNodeHarmsNoVolumeOfAnHonestOne speaks the agents' protocol with a
// second node's certificate, beside a real agent that has a volume in use.
func TestARogueNodeHarmsNoVolumeOfAnHonestOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Control: quick()})
	one, two := w.Nodes[0], w.Nodes[1]
	w.must(two.Agent.Stop(w.ctx()))
	task := w.ready(one, ledger("app"))
	var volumes api.DatasetDetail
	w.must(json.Unmarshal(w.call(http.MethodGet, "/v1/volumes/app", nil), &volumes))
	id := string(volumes.Dataset.ID)
	image := filepath.Join(w.Lab.SAN, "attached", one.Instance, id)
	before, err := os.Stat(image)
	w.must(err)

	pair, err := tls.LoadX509KeyPair(two.Path("/etc/flocker/node.crt"), two.Path("/etc/flocker/node.key"))
	w.must(err)
	node, err := client.NewAgent(client.Config{
		Endpoints: []string{passage(t, two.Host, w.Control.Address+":4524")},
		TLS:       &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}},
	})
	w.must(err)
	connect := func(change func(*api.Hello)) (*client.Session, error) {
		hello := api.Hello{Hostname: one.Name, Era: one.BootID(), Agent: "rogue", Instance: two.Instance, Backend: "loopback", Version: "1"}
		if change != nil {
			change(&hello)
		}
		return node.Connect(w.ctx(), hello)
	}
	w.until("the real agent of the rogue node is missed", func() error {
		if text := w.call(http.MethodGet, "/v1/nodes/"+string(two.ID), nil); !bytes.Contains(text, []byte(`"connected":false`)) {
			return fmt.Errorf("the node is %s", text)
		}
		return nil
	})
	s, err := connect(nil)
	w.must(err)
	defer func() { _ = s.Close() }()
	ctx := w.ctx()
	victim := api.DatasetID(id)
	detail, err := s.Detail(ctx, victim)
	w.must(err)
	epoch := detail.Dataset.Epoch
	own, err := s.Claim(ctx, api.ClaimRequest{Find: &api.DatasetSpec{Name: "own", Size: 64 << 20}})
	w.must(err)
	state := func(id api.DatasetID, epoch uint64, phase api.Phase) api.DatasetState {
		return api.DatasetState{ID: id, Epoch: epoch, Phase: phase}
	}
	volume := api.Volume{ID: id, Backend: "loopback", Size: detail.Dataset.Size}
	report := func(parts ...api.DatasetReport) func() error {
		return func() error {
			_, err := s.Report(ctx, api.Report{Datasets: parts})
			return err
		}
	}
	intact := func(what string) {
		t.Helper()
		now, err := os.Stat(image)
		if err != nil || !os.SameFile(before, now) {
			t.Errorf("%s: the image of the honest volume is not the same: %v", what, err)
		}
		w.must(w.mountedOn(id, one))
		w.must(one.Do(func() error {
			text, err := os.ReadFile(filepath.Join("/flocker", id, "lines"))
			if err == nil && string(text) != "1\n" {
				t.Errorf("%s: the volume has %q", what, text)
			}
			return err
		}))
		d, err := s.Detail(ctx, victim)
		if err != nil || !d.Dataset.HeldBy(one.ID) || d.Dataset.Deleted || d.Dataset.Epoch != epoch {
			t.Errorf("%s: the record is %+v, %v", what, d, err)
		}
	}
	for what, attack := range map[string]func() error{
		"its volume for an own dataset, destroyed at once": report(
			api.DatasetReport{State: state(own.ID, own.Epoch, api.PhaseMounted), Volume: &volume},
			api.DatasetReport{State: state(own.ID, own.Epoch, api.PhaseNonExistent), Release: true, Destroyed: true}),
		"one that says the volume is destroyed": report(
			api.DatasetReport{State: state(victim, epoch, api.PhaseNonExistent), Release: true, Destroyed: true}),
		"the tenures to come": report(
			api.DatasetReport{State: state(victim, epoch+1, api.PhaseMounted)}, api.DatasetReport{State: state(victim, 1<<63, api.PhaseMounted)}),
		"the tenure 0":     report(api.DatasetReport{State: state(victim, 0, api.PhaseMounted), Release: true, Destroyed: true}),
		"a withdrawal":     report(api.DatasetReport{State: state(victim, epoch, api.PhaseUnknown), Withdraw: true}),
		"a free member":    report(api.DatasetReport{State: state(victim, epoch, api.PhaseUnknown), Free: 1}),
		"a begun fence":    report(api.DatasetReport{State: state(victim, epoch, api.PhaseUnknown), Fence: &api.FenceReport{Begin: true}}),
		"a finished fence": report(api.DatasetReport{State: state(victim, epoch, api.PhaseUnknown), Fence: &api.FenceReport{Done: true}}),
		"a claim":          func() error { _, err := s.Claim(ctx, api.ClaimRequest{ID: victim}); return err },
		"a claim by name": func() error {
			_, err := s.Claim(ctx, api.ClaimRequest{Find: &api.DatasetSpec{Name: "app"}})
			return err
		},
		"a claim ahead": func() error { _, err := s.Claim(ctx, api.ClaimRequest{ID: victim, Ahead: true}); return err },
		"a member of its name": func() error {
			_, err := s.Member(ctx, api.MemberRequest{Consumer: "c", Instance: "i", Set: api.DatasetSpec{Name: "app"}, Each: api.EachInstance})
			return err
		},
		"another agent of the honest node's instance": func() error {
			_, err := connect(func(h *api.Hello) { h.Instance, h.Agent = one.Instance, "other" })
			return err
		},
	} {
		err := attack()
		t.Logf("%s: %v", what, err)
		if s == nil || s.Welcome() == nil {
			t.Fatal("no stream")
		}
		intact(what)
	}

	t.Log("the rogue node is gone, and its real agent is taken; the honest volume works here and there")
	w.must(s.Close())
	w.end(task)
	w.must(two.Start(w.ctx()))
	w.must(two.AwaitConnected(w.ctx()))
	for i, n := range []*cluster.Node{one, two, one} {
		r := w.ready(n, ledger("app"))
		if want := "verified " + string(rune('1'+i)); !r.Printed(want) {
			t.Errorf("on %s the task printed %q, want %q", n.Name, r.Stdout(), want)
		}
		w.end(r)
	}
}
