package agent_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestMetricsFollowPrometheusRules(t *testing.T) {
	n := newSAN(t).node("a")
	registry := prometheus.NewRegistry()
	n.metrics = registry
	n.start()
	n.use("c1", volume("db"))
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Fatalf("got %v, %v", families, err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if h := n.agent.Health(); h.Status != "ok" || h.Node != n.id || h.Failing != 0 {
		t.Errorf("got %+v", h)
	}
}
