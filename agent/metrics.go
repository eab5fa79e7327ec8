package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/api"
)

// metrics are what the agent counts. The gauges are computed when they are
// asked for.
type metrics struct {
	steps    *prometheus.HistogramVec
	failures *prometheus.CounterVec
	engine   *engine
	link     *link
	journal  *journal
	times    *times

	datasets  *prometheus.Desc
	unhealthy *prometheus.Desc
	consumers *prometheus.Desc
	asides    *prometheus.Desc
	connected *prometheus.Desc
	otherLog  *prometheus.Desc
	mesos     *prometheus.Desc
	trouble   func() *api.MesosTrouble
}

func newMetrics(l *link, j *journal, t *times) *metrics {
	return &metrics{
		link: l, journal: j, times: t,
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flocker_agent_step_duration_seconds", Help: "Time of a successful step of a dataset.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 12), // 0.1 ms to 7 min
		}, []string{"action"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_agent_step_failures_total", Help: "Steps of datasets that failed.",
		}, []string{"action"}),
		datasets: prometheus.NewDesc("flocker_agent_datasets", "Datasets that concern this node.",
			[]string{"phase", "failed"}, nil),
		unhealthy: prometheus.NewDesc("flocker_agent_unhealthy_volumes",
			"Mounted volumes whose file system is not as it should be: shut-down, aborted (read-only after an error), device-gone, "+
				"unmounted or covered behind the agent's back, remounted read-only, io-errors, hung.", []string{"health"}, nil),
		consumers: prometheus.NewDesc("flocker_agent_consumers", "Consumers of volumes on this node.", []string{"kind"}, nil),
		asides: prometheus.NewDesc("flocker_agent_consumer_files_set_aside",
			"Consumer files that cannot be read and were set aside; what they may stand for stays mounted.", nil, nil),
		connected: prometheus.NewDesc("flocker_agent_control_connected", "1 while there is a stream to the control service.",
			nil, nil),
		otherLog: prometheus.NewDesc("flocker_agent_control_other_log",
			"1 while the control service is refused because its log is not the one that this node knows.", nil, nil),
		mesos: prometheus.NewDesc("flocker_agent_mesos_trouble",
			"1 while the agent cannot tell which containers the Mesos agent still runs, and so makes up for no lost cleanup.", []string{"reason"}, nil),
	}
}

// stepped counts one step.
func (m *metrics) stepped(act action, took time.Duration, err error) {
	if err != nil {
		m.failures.WithLabelValues(string(act)).Inc()
		return
	}
	m.steps.WithLabelValues(string(act)).Observe(took.Seconds())
}

// Describe is for Prometheus.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.steps.Describe(ch)
	m.failures.Describe(ch)
	m.times.seconds.Describe(ch)
	m.times.gaveUp.Describe(ch)
	ch <- m.datasets
	ch <- m.unhealthy
	ch <- m.consumers
	ch <- m.asides
	ch <- m.connected
	ch <- m.otherLog
	ch <- m.mesos
}

// Collect is for Prometheus.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.steps.Collect(ch)
	m.failures.Collect(ch)
	m.times.seconds.Collect(ch)
	m.times.gaveUp.Collect(ch)
	for k, n := range m.engine.count() {
		ch <- prometheus.MustNewConstMetric(m.datasets, prometheus.GaugeValue, float64(n), string(k.phase), yesNo(k.failed))
	}
	unwell := m.engine.unwell()
	for _, kind := range api.HealthKinds {
		ch <- prometheus.MustNewConstMetric(m.unhealthy, prometheus.GaugeValue, float64(unwell[kind]), string(kind))
	}
	kinds := map[string]int{}
	for _, c := range m.journal.all() {
		kinds[c.Kind]++
	}
	for kind, n := range kinds {
		ch <- prometheus.MustNewConstMetric(m.consumers, prometheus.GaugeValue, float64(n), kind)
	}
	ch <- prometheus.MustNewConstMetric(m.asides, prometheus.GaugeValue, float64(m.journal.countAsides()))
	value := 0.0
	if ok, _ := m.link.connected(); ok {
		value = 1
	}
	ch <- prometheus.MustNewConstMetric(m.connected, prometheus.GaugeValue, value)
	value = 0
	if m.link.logs.refusal() != "" {
		value = 1
	}
	ch <- prometheus.MustNewConstMetric(m.otherLog, prometheus.GaugeValue, value)
	trouble := m.trouble()
	for _, kind := range api.MesosTroubleKinds {
		value = 0
		if trouble != nil && trouble.Kind == kind {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(m.mesos, prometheus.GaugeValue, value, string(kind))
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// condition is what datasets are counted by.
type condition struct {
	phase  api.Phase
	failed bool
}

// count returns how many datasets are in which condition.
func (e *engine) count() map[condition]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[condition]int{}
	for _, d := range e.datasets {
		out[condition{d.seen.phase, d.failure != nil}]++
	}
	return out
}
