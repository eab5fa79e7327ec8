package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/flocker-mesos/flocker/agent"
)

func TestAgentTellsHowItIs(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(buildInfo())
	h := agent.Health{Status: "ok", Node: "n", Connected: true, Control: "127.0.0.1:4524"}
	server := httptest.NewServer(agentMonitoring(registry, func() agent.Health { return h }))
	defer server.Close()
	want := func(path string, status int, text string) {
		t.Helper()
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
			t.Errorf("%s: got %s, %s, %v, want %d and %s", path, resp.Status, body, err, status, text)
		}
	}
	want("/health", 200, `{"status":"ok","node":"n","connected":true,"control":"127.0.0.1:4524","failing":0}`)
	want("/ready", 200, `"connected":true`)
	want("/metrics", 200, `flocker_build_info{goversion="go`)
	h.Connected, h.Control, h.Failing = false, "connection refused", 2
	want("/health", 200, `"connected":false,"control":"connection refused","failing":2`)
	want("/ready", 503, `"connected":false`)
}

func TestAgentGoesOnIfTheDefaultPortOfMetricsIsTaken(t *testing.T) {
	if err := checkMetricsListen(defaultAgentMetrics); err != nil || defaultAgentSettings().Metrics != defaultAgentMetrics {
		t.Fatalf("got %v", err)
	}
	l, err := net.Listen("tcp", defaultAgentMetrics)
	if err == nil {
		defer func() { _ = l.Close() }()
	}
	handler, log := http.NewServeMux(), slog.New(slog.DiscardHandler)
	if err := serveMetrics(t.Context(), defaultAgentMetrics, handler, log); err != nil {
		t.Errorf("got %v", err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := serveMetrics(t.Context(), other.Addr().String(), handler, log); err == nil {
		t.Error("a chosen address is taken, and there is no error")
	}
}

func TestBuildInfoFollowsPrometheusRules(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(buildInfo())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v", problems, err)
	}
}
