package system

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

// members returns the members of a set.
func (w *deployed) members(set string) (all []*api.DatasetDetail, err error) {
	data, err := w.Control.Call(w.ctx(), http.MethodGet, "/v1/volumes?set="+set, nil)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(data, &all)
}

// broughtFor waits until a member of a set is mounted on a host for a task that is
// not there yet, and returns it.
func (w *deployed) broughtFor(l double.Launch, set string) (name string) {
	w.until(fmt.Sprintf("a member of %s is mounted on %s for %s", set, l.Host, l.Task), func() error {
		all, err := w.members(set)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.State == nil || m.Holder == nil || m.State.Phase != api.PhaseMounted || m.Holder.Name() != l.Host || len(m.State.Consumers) != 1 {
				continue
			}
			if c := m.State.Consumers[0]; c.Kind == api.ConsumerHint && c.ID == l.Task {
				if m.Dataset.Member.User != nil {
					w.t.Errorf("%s is in use by %+v before there is a container", m.Dataset.Name(), m.Dataset.Member.User)
				}
				name = m.Dataset.Name()
				return nil
			}
		}
		return fmt.Errorf("there is %+v", all)
	})
	return name
}

// Three instances are staged at once. While Mesos fetches their images, each one's
// volume comes to it, and is the one that it gets.
func TestInstancesFindTheirMembersMountedWhenTheyCome(t *testing.T) {
	t.Parallel()
	w := newDeployed(t, cluster.Options{})
	const instances = 3
	type brought struct{ task, member string }
	came := make(chan brought, instances)
	w.marathon.Before = func(l double.Launch) { came <- brought{l.Task, w.broughtFor(l, "kafka")} }
	w.ask(http.MethodPut, "/v2/apps/prod/kafka?force=true", map[string]any{
		"id": "/prod/kafka", "cmd": broker(0, 1).Command, "cpus": 0.1, "mem": 32, "instances": instances,
		"labels": map[string]string{"flocker.volume.data": "path=data,name=kafka,size=64MiB,each=true"},
	})
	seen := map[string]bool{}
	for range instances {
		var b brought
		select {
		case b = <-came:
		case <-w.ctx().Done():
			t.Fatal("not all instances were launched")
		}
		if seen[b.member] {
			t.Errorf("%s was brought for two instances", b.member)
		}
		seen[b.member] = true
		w.until(fmt.Sprintf("task %s has %s", b.task, b.member), func() error {
			r := w.marathon.Run(b.task)
			if r == nil || !r.Printed("ready") {
				return fmt.Errorf("it is not ready")
			}
			return nil
		})
		m, err := w.detail(b.member)
		w.must(err)
		if u := m.Dataset.Member.User; u == nil || u.Instance != api.InstanceOf(b.task) {
			t.Errorf("%s, which was brought for %s, is in use by %+v", b.member, b.task, u)
		}
	}
	w.ask(http.MethodDelete, "/v2/apps/prod/kafka?force=true", nil)
	w.idle()
}
