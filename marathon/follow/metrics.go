package follow

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/marathon/client"
)

// metrics counts what following Marathon costs and brings.
type metrics struct {
	connected prometheus.Gauge
	apps      prometheus.Gauge
	events    *prometheus.CounterVec
	rounds    *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	reclaimed prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_marathon_events_connected", Help: "1 while this replica follows Marathon's events."}),
		apps: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_marathon_apps", Help: "Apps and pods of Marathon's that ask for volumes, as this replica last read them."}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_marathon_events_total", Help: "Events of Marathon's, by whether they are about tasks or about definitions."},
			[]string{"about"}),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_marathon_reads_total", Help: "Readings of Marathon, of some apps or of all, by outcome."}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flocker_marathon_read_seconds", Help: "Time to read Marathon and do what follows.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"kind"}),
		reclaimed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_marathon_reclaimed_total", Help: "Datasets that were deleted since their apps were destroyed."}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.connected, m.apps, m.events, m.rounds, m.seconds, m.reclaimed}
}

func (m *metrics) event(ev client.Event) {
	about := "definitions"
	if ev.Tasks {
		about = "tasks"
	}
	m.events.WithLabelValues(about).Inc()
}

func (m *metrics) round(kind string, took time.Duration, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.rounds.WithLabelValues(kind, outcome).Inc()
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}
