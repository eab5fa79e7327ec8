package control_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/flocker-mesos/flocker/control"
)

// metric returns the value of a series, "" if it is not there.
func (w *world) metric(series string) string {
	w.Helper()
	resp, err := http.Get("http://" + w.service.MetricsAddr().String() + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestDatasetsAndNodesAreCountedByState(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.MetricsListen, c.Heartbeat = "127.0.0.1:0", 100*time.Millisecond })
	want := func(series, value string) {
		t.Helper()
		eventually(t, series+" is "+value, func() bool { return w.metric(series) == value })
	}
	c := w.raw()
	s, _ := w.connect(nodeA)
	want(`flocker_control_nodes{state="connected"}`, "1")
	c.want("POST", datasets, `{"primary": "`+nodeB+`", "dataset_id": "`+dataset1+`"}`, 201, `*`)
	want(`flocker_control_datasets{status="waiting"}`, "1")
	want(`flocker_control_deleted_datasets{status="destroyed"}`, "0")
	c.want("DELETE", datasets+"/"+dataset1, "", 200, `*`)
	want(`flocker_control_datasets{status="waiting"}`, "0")
	want(`flocker_control_deleted_datasets{status="destroyed"}`, "1")
	_ = s.Close()
	want(`flocker_control_nodes{state="lost"}`, "1")
	want(`flocker_control_nodes{state="connected"}`, "0")
	c.want("POST", "/v1/nodes/"+nodeA+"/lost", "", 200, `*`)
	want(`flocker_control_nodes{state="given-up"}`, "1")
	c.want("DELETE", "/v1/nodes/"+nodeA, "", 200, `*`)
	want(`flocker_control_nodes{state="given-up"}`, "0")
}

func TestMetricsFollowPrometheusRules(t *testing.T) {
	w := newWorld(t)
	w.raw().want("POST", datasets, `{"primary": "`+nodeA+`"}`, 201, `*`)
	families, err := w.service.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsAreServedToThisMachineByDefault(t *testing.T) {
	cfg := control.DefaultConfig()
	host, _, err := net.SplitHostPort(cfg.MetricsListen)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Fatalf("got %q, %v", cfg.MetricsListen, err)
	}
	// Another program has the port.
	l, err := net.Listen("tcp", cfg.MetricsListen)
	if err == nil {
		defer func() { _ = l.Close() }()
	}
	w := newWorld(t, func(c *control.Config) { c.MetricsListen = cfg.MetricsListen })
	if addr := w.service.MetricsAddr(); addr != nil {
		t.Errorf("got %v", addr)
	}
	w.raw().want("GET", "/health", "", 200, `*`)
}
