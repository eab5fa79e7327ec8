package cluster_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestANodeTellsOfItsTroubleWithMesos(t *testing.T) {
	b := newBench(t, "a")
	trouble := func() *api.MesosTrouble { return b.s.Node("a").MesosTrouble }
	report := cluster.MesosReport{Node: "a", Stream: 1, Trouble: &api.MesosTrouble{Kind: api.MesosDenied, Cause: "refuses the password", Since: b.now}}
	if out := b.do(report); len(out.Changes) != 1 || trouble() == nil || *trouble() != *report.Trouble {
		t.Errorf("got %+v", trouble())
	}
	if out := b.do(report); len(out.Changes) != 0 {
		t.Errorf("said again: got %d changes", len(out.Changes))
	}
	b.refused(cluster.MesosReport{Node: "a", Stream: 7}, api.CodeStale, "")
	b.do(cluster.MesosReport{Node: "a", Stream: 1})
	if trouble() != nil {
		t.Errorf("when it is over: got %+v", trouble())
	}
	report.Trouble.Cause = strings.Repeat("x", 1<<20) + "\x1b"
	b.do(report)
	if got := len(trouble().Cause); got > 8192 {
		t.Errorf("a cause without end: %d bytes are kept", got)
	}
	b.do(cluster.NodeDisconnect{At: b.now, Node: "a", Stream: 1})
	b.connect("a")
	if trouble() != nil {
		t.Errorf("on a new stream, which has not told of any: got %+v", trouble())
	}
}
