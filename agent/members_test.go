package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// each asks for a member of a set of some.
func each(set string, members int) api.VolumeRequest {
	v := volume(set)
	v.Each = members
	return v
}

// waits acquires a member that is not to be had yet, and awaits it beside the test.
func (n *node) waits(consumer string, volumes ...api.VolumeRequest) (mounts []api.Mount, came <-chan error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	mounts, err := n.agent.Volumes().Acquire(ctx, request(consumer, volumes...))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, m := range mounts {
		if m.Ready || m.DatasetID != "" {
			n.t.Fatalf("%s waits for a member and got %+v", consumer, m)
		}
	}
	done, told := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		defer cancel()
		_, err := n.agent.Volumes().Await(ctx, consumer, func(text string) {
			n.t.Log(n.id, text)
			select {
			case told <- struct{}{}:
			default:
			}
		})
		done <- err
	}()
	select {
	case <-told:
	case <-ctx.Done():
		n.t.Fatalf("%s is not told why it waits", consumer)
	}
	return mounts, done
}

// member returns a member of a set.
func (s *san) member(name string) *api.Dataset {
	s.t.Helper()
	d := s.control.Dataset(name)
	if d == nil || d.Member == nil {
		s.t.Fatalf("%s is no member of a set: %+v", name, d)
	}
	return d
}

func (s *san) free(names ...string) {
	s.t.Helper()
	s.await("members are free", func(c *agenttest.Control) bool {
		for _, name := range names {
			if c.Dataset(name).Member.User != nil {
				return false
			}
		}
		return true
	})
}

func TestInstancesOnOneNodeHaveMembersToThemselves(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	first, second := n.use("c1", each("kafka", 3))[0], n.use("c2", each("kafka", 3))[0]
	if first.Name != "kafka.0" || second.Name != "kafka.1" || first.Set != "kafka" || first.Source == second.Source {
		t.Fatalf("got %+v and %+v, want kafka.0 and kafka.1 at places of their own", first, second)
	}
	write(t, filepath.Join(first.Source, "row"), "of the first")
	if _, err := os.Stat(filepath.Join(second.Source, "row")); !os.IsNotExist(err) {
		t.Errorf("the second instance sees what the first has written: %v", err)
	}
	if again := n.use("c1", each("kafka", 3))[0]; again != first {
		t.Errorf("asked again: got %+v, want %+v", again, first)
	}
	n.release("c1")
	s.free("kafka.0")
	if third := n.use("c3", each("kafka", 3))[0]; third.Name != "kafka.0" || read(t, filepath.Join(third.Source, "row")) != "of the first" {
		t.Errorf("got %+v, want what the first has left", third)
	}
	if _, err := os.Stat(first.Source); !os.IsNotExist(err) {
		t.Errorf("the mount point of the first is there still: %v", err)
	}
}

func TestWhoWaitsForAMemberGetsItAtThePlaceThatItWasTold(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-1"), s.node("node-2")
	a.start()
	b.start()
	left := a.use("c1", each("kafka", 1))[0]
	write(t, filepath.Join(left.Source, "row"), "hello")
	told, came := b.waits("c2", each("kafka", 1))
	a.release("c1")
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	got := b.use("c2", each("kafka", 1))[0]
	if got.Source != told[0].Source || got.Name != "kafka.0" || read(t, filepath.Join(got.Source, "row")) != "hello" {
		t.Errorf("got %+v, want kafka.0 with its data at %s", got, told[0].Source)
	}
	if s.member("kafka.0").UserOn("node-2") == nil {
		t.Errorf("got %+v, want node-2 to have it", s.member("kafka.0").Member)
	}
}

func TestAMemberIsFoundAgainByWhoeverRestarts(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	before := n.use("c1", each("kafka", 1))[0]
	told, _ := n.waits("c2", each("kafka", 1))
	n.stop()
	n.start()
	after := n.use("c1", each("kafka", 1))[0]
	if after != before {
		t.Errorf("got %+v, want %+v", after, before)
	}
	n.stop()
	n.start()
	n.release("c1")
	if got := n.use("c2", each("kafka", 1))[0]; got.Source != told[0].Source || !got.Ready {
		t.Errorf("got %+v, want it at %s", got, told[0].Source)
	}
}

func TestAMemberWhoseContainerEndedWhileNoAgentWasThereIsFreed(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", each("kafka", 2))[0]
	s.control.SetDown(true)
	n.release("c1") // and nobody can be told
	n.stop()
	s.control.SetDown(false)
	n.start()
	s.free("kafka.0")
	if _, ok, err := host.Mounted(m.Source); ok || err != nil {
		s.await("it is given back", func(c *agenttest.Control) bool { return c.Dataset("kafka.0").Holder == nil })
		if _, ok, err := host.Mounted(m.Source); ok || err != nil {
			t.Errorf("what c1 saw is mounted still: %t, %v", ok, err)
		}
	}
}

func TestAContainerOfSeveralSetsHasTheSameNumberOfEach(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	both := func() []api.VolumeRequest {
		data, log := each("data", 2), each("log", 2)
		log.Key, log.Path = "log", "/log"
		return []api.VolumeRequest{data, log}
	}
	n.use("c1", both()...)
	n.use("c2", both()...)
	n.release("c1")
	s.free("data.0", "log.0")
	mounts := n.use("c3", both()...)
	if mounts[0].Name != "data.0" || mounts[1].Name != "log.0" {
		t.Errorf("got %s and %s, want number 0 of both", mounts[0].Name, mounts[1].Name)
	}
	told, came := n.waits("c4", both()...)
	n.release("c2")
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	for i, m := range n.use("c4", both()...) {
		if !strings.HasSuffix(m.Name, ".1") || m.Source != told[i].Source {
			t.Errorf("got %+v, want number 1 at %s", m, told[i].Source)
		}
	}
}

func TestContainersOfOnePodShareTheMember(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	server, backup := each("kafka", 2), each("kafka", 2)
	backup.ReadOnly = true
	m := n.use("pod.server", server)[0]
	ro := n.use("pod.backup", backup)[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	if ro.DatasetID != m.DatasetID || read(t, filepath.Join(ro.Source, "row")) != "hello" {
		t.Errorf("got %+v, want what the server has, %+v", ro, m)
	}
	if err := os.WriteFile(filepath.Join(ro.Source, "row"), nil, 0o600); err == nil {
		t.Error("the read-only container can write")
	}
	n.release("pod.server")
	n.hears()
	if s.member("kafka.0").UserOn("node-1") == nil {
		t.Error("the member was freed though a container of the pod uses it")
	}
	n.release("pod.backup")
	s.free("kafka.0")
}

func TestAMemberIsNotServedBesideWhoStillHasIt(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", each("kafka", 1))[0]
	// As after a restored backup, the control service does not know of c1.
	s.control.Change(m.DatasetID, func(d *api.Dataset) { d.Member.User = nil })
	_, came := n.waitsFor("c2", each("kafka", 1))
	n.release("c1")
	if err := <-came; err != nil {
		t.Fatal(err)
	}
}

// waitsFor acquires a member that somebody on the node still has.
func (n *node) waitsFor(consumer string, v api.VolumeRequest) (api.Mount, <-chan error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	mounts, err := n.agent.Volumes().Acquire(ctx, request(consumer, v))
	if err != nil {
		n.t.Fatal(err)
	}
	if mounts[0].Ready {
		n.t.Fatalf("got %+v, want a member that is not ready", mounts[0])
	}
	want := "has not ended yet"
	if mounts[0].DatasetID == "" { // who has it has asked for it anew, and was faster
		want = "are in use"
	}
	done, told := make(chan error, 1), make(chan string, 100)
	go func() {
		defer cancel()
		_, err := n.agent.Volumes().Await(ctx, consumer, func(text string) { told <- text })
		done <- err
	}()
	select {
	case text := <-told:
		if !strings.Contains(text, want) {
			n.t.Errorf("got %q, want it to say %q", text, want)
		}
	case <-ctx.Done():
		n.t.Fatal("nothing is said of why it waits")
	}
	if _, mounted, err := host.Mounted(mounts[0].Source); mounted || err != nil {
		n.t.Fatalf("%s sees the member beside who has it (%v)", consumer, err)
	}
	return mounts[0], done
}
