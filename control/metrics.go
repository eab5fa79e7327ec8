package control

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store"
)

// metrics counts what the service does.
type metrics struct {
	replica *replicaMetrics

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	panics   prometheus.Counter
	streams  prometheus.Gauge
	events   prometheus.Counter
	lost     prometheus.Counter
	refused  *prometheus.CounterVec
	otherLog prometheus.Counter
	ended    *prometheus.CounterVec
	limited  *prometheus.CounterVec

	replicasLost prometheus.Counter
}

// newMetrics registers the metrics.
func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		replica: newReplicaMetrics(registry),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_requests_total", Help: "Requests by route, method and status."},
			[]string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flocker_control_request_seconds", Help: "Time to answer requests, streams left out.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}, []string{"route", "method"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_control_panics_total", Help: "Requests that met a defect of the control service."}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_streams", Help: "Agents that this replica serves."}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_control_stream_events_total", Help: "Events sent to agents, heartbeats left out."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_control_nodes_lost_total", Help: "Nodes that this replica noted as lost."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_tls_refusals_total", Help: "Connections that ended in the TLS handshake, by listener. The log says why."},
			[]string{"listener"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_connections_ended_total", Help: "Connections that were ended because their certificate no longer counts, or has too many, by listener."},
			[]string{"listener"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_limited_total", Help: "What was refused because one certificate asked for too much: connections, writes, reports, watches, waits."},
			[]string{"what"}),
		otherLog: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_control_other_log_refusals_total", Help: "Streams of agents that were refused because the agent knows another log."}),
		replicasLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flocker_control_replicas_lost_total", Help: "Replicas that this one noted as lost."}),
	}
	registry.MustRegister(m.requests, m.seconds, m.panics, m.streams, m.events, m.lost, m.refused, m.ended, m.limited, m.otherLog, m.replicasLost,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) answered(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if route != pathStream {
		m.seconds.WithLabelValues(route, method).Observe(took.Seconds())
	}
}

// methodLabel keeps what clients make up out of the metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return method
	default:
		return "other"
	}
}

// replicaMetrics counts what the replica does.
type replicaMetrics struct {
	commands   *prometheus.CounterVec
	commits    *prometheus.CounterVec
	seconds    prometheus.Histogram
	batch      prometheus.Histogram
	revision   prometheus.Gauge
	leases     prometheus.Gauge
	orphans    prometheus.Gauge
	inspection prometheus.Histogram
	foreign    prometheus.Gauge
	damaged    prometheus.Gauge
	outage     prometheus.Gauge
}

func newReplicaMetrics(registry *prometheus.Registry) *replicaMetrics {
	m := &replicaMetrics{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_commands_total", Help: "Commands by kind and what became of them."},
			[]string{"command", "outcome"}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_control_commits_total", Help: "Commits to the log by outcome."}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flocker_control_commit_seconds", Help: "Time that the log takes to commit.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15)}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flocker_control_commit_commands", Help: "Commands that are committed at once.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		revision: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_revision", Help: "Revision of the log that this replica shows."}),
		leases: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_leases", Help: "Leases of datasets."}),
		orphans: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_orphan_volumes", Help: "Volumes that storage systems have and the log does not know."}),
		inspection: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flocker_control_log_inspection_seconds", Help: "Time to compare the log with what was committed.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
		damaged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_damaged_records", Help: "Records of the log that are set aside because another program changed them."}),
		foreign: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_foreign_keys", Help: "Keys of the log that are none of its own. They are ignored."}),
		outage: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flocker_control_log_unreachable", Help: "1 while the log cannot be reached."}),
	}
	registry.MustRegister(m.commands, m.commits, m.seconds, m.batch, m.revision, m.leases, m.orphans, m.outage, m.inspection, m.damaged, m.foreign)
	return m
}

func (m *replicaMetrics) decided(cmd cluster.Command, err error) {
	outcome := "done"
	if err != nil {
		outcome = string(api.CodeOf(err))
	}
	m.commands.WithLabelValues(commandLabel(cmd), outcome).Inc()
}

func commandLabel(cmd cluster.Command) string {
	switch cmd := cmd.(type) {
	case cluster.Once:
		return commandLabel(cmd.Command)
	case cluster.Bar:
		return "bar"
	case cluster.Create:
		return "create"
	case cluster.Move:
		return "move"
	case cluster.Delete:
		return "delete"
	case cluster.Prune:
		return "prune"
	case cluster.Claim:
		return "claim"
	case cluster.Report:
		return "report"
	case cluster.NodeConnect:
		return "connect"
	case cluster.NodeDisconnect:
		return "disconnect"
	case cluster.GiveUpNode:
		return "give-up"
	case cluster.DrainNode:
		return "drain"
	case cluster.RemoveNode:
		return "remove-node"
	case cluster.NoteDamage:
		return "note-damage"
	case cluster.Upkeep:
		return "upkeep"
	case cluster.AcquireLease:
		return "acquire-lease"
	case cluster.ReleaseLease:
		return "release-lease"
	case cluster.ExpireLeases:
		return "expire-leases"
	case cluster.StartReplica, cluster.BeatReplica, cluster.StopReplica, cluster.LoseReplica:
		return "replica"
	default:
		return marathonLabel(cmd)
	}
}

// marathonLabel is commandLabel for what comes of following Marathon.
func marathonLabel(cmd cluster.Command) string {
	switch cmd.(type) {
	case cluster.FollowApp:
		return "follow-app"
	case cluster.ForgetApp, cluster.DropApp:
		return "forget-app"
	case cluster.SetMembers:
		return "set-members"
	case cluster.Reclaim:
		return "reclaim"
	case cluster.Undelete:
		return "undelete"
	case cluster.Trim:
		return "trim"
	case cluster.TakeJob, cluster.NoteMarathon:
		return "job"
	default:
		return "other"
	}
}

func (m *replicaMetrics) committed(commands, records int, took time.Duration, err error) {
	outcome := "done"
	switch {
	case errors.Is(err, store.ErrRaced):
		outcome = "raced"
	case errors.Is(err, store.ErrUncertain):
		outcome = "uncertain"
	case err != nil:
		outcome = "failed"
	case records == 0:
		outcome = "empty"
	}
	m.commits.WithLabelValues(outcome).Inc()
	if records > 0 {
		m.seconds.Observe(took.Seconds())
		m.batch.Observe(float64(commands))
	}
}

func (m *replicaMetrics) observe(s *cluster.State) {
	m.revision.Set(float64(s.Revision()))
	m.damaged.Set(float64(s.CountDamage()))
	m.leases.Set(float64(s.CountLeases()))
	m.orphans.Set(float64(s.CountOrphans()))
}
