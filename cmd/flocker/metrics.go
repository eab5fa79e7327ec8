package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/api"
)

// defaultAgentMetrics is a port that another program of this machine may have.
const defaultAgentMetrics = "127.0.0.1:4526"

// checkMetricsListen keeps what is served without TLS on this machine.
func checkMetricsListen(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return api.FieldErrorf("metrics-listen", "%q is not an address of this machine only, such as 127.0.0.1:4526", address)
	}
	return nil
}

// buildInfo is a metric of the value 1 whose labels tell which program this is.
func buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flocker_build_info", Help: "Always 1; the labels tell which program this is.",
		ConstLabels: prometheus.Labels{"program": "agent", "version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// agentMonitoring serves /metrics, /health and /ready of an agent.
func agentMonitoring(gatherer prometheus.Gatherer, health func() agent.Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	answer := func(w http.ResponseWriter, status int, h agent.Health) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(h) // a client that has gone away hears nothing
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, health()) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		h, status := health(), http.StatusOK
		if !h.Connected {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, h)
	})
	return mux
}

// serveMetrics serves an agent's monitoring until ctx ends. If another program has the
// default port, the agent goes on without.
func serveMetrics(ctx context.Context, address string, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.ListenAndServe()
	switch {
	case errors.Is(err, http.ErrServerClosed):
		return nil
	case address == defaultAgentMetrics:
		log.Warn("metrics are not served: set metrics-listen to a free address of this machine", "address", address, "cause", err)
		return nil
	default:
		return fmt.Errorf("serve metrics: %w", err)
	}
}
