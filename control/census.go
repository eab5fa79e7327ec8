package control

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// census counts datasets and nodes by their states when it is asked, so that nothing is
// shown of those that are gone.
type census struct {
	replica *Replica
	now     func() time.Time

	datasets, deleted, nodes *prometheus.Desc
}

func newCensus(r *Replica, now func() time.Time) *census {
	return &census{
		replica: r, now: now,
		datasets: prometheus.NewDesc("flocker_control_datasets", "Datasets by status, deleted ones left out.", []string{"status"}, nil),
		deleted:  prometheus.NewDesc("flocker_control_deleted_datasets", "Deleted datasets that are still listed, by status.", []string{"status"}, nil),
		nodes:    prometheus.NewDesc("flocker_control_nodes", "Nodes by state.", []string{"state"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *census) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.datasets
	ch <- c.deleted
	ch <- c.nodes
}

// Collect implements prometheus.Collector.
func (c *census) Collect(ch chan<- prometheus.Metric) {
	s, now := c.replica.State(), c.now()
	datasets, deleted := zeroes(cluster.LiveStatuses()), zeroes(cluster.DeletedStatuses())
	for d := range s.Datasets() {
		status, _ := cluster.Explain(d, s.DatasetState(d.ID), s.Lease(d.ID), s.Node, nil, now)
		if d.Deleted {
			deleted[string(status)]++
		} else {
			datasets[string(status)]++
		}
	}
	nodes := zeroes(nodeStates)
	for n := range s.Nodes() {
		nodes[nodeState(n)]++
	}
	for _, counted := range []struct {
		desc *prometheus.Desc
		by   map[string]int
	}{{c.datasets, datasets}, {c.deleted, deleted}, {c.nodes, nodes}} {
		for label, n := range counted.by {
			ch <- prometheus.MustNewConstMetric(counted.desc, prometheus.GaugeValue, float64(n), label)
		}
	}
}

// zeroes has an entry for each label, so that a series does not vanish when it falls to
// zero.
func zeroes[T ~string](labels []T) map[string]int {
	counts := map[string]int{}
	for _, l := range labels {
		counts[string(l)] = 0
	}
	return counts
}

var nodeStates = []string{"connected", "draining", "lost", "given-up"}

// nodeState returns the one of nodeStates in which a node is.
func nodeState(n *api.Node) string {
	switch {
	case !n.Connected && !n.GivenUp.IsZero():
		return "given-up"
	case !n.Connected:
		return "lost"
	case !n.Draining.IsZero():
		return "draining"
	default:
		return "connected"
	}
}

// newBuildInfo is a metric of the value 1 whose labels tell which program this is.
func newBuildInfo(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flocker_build_info", Help: "Always 1; the labels tell which program this is.",
		ConstLabels: prometheus.Labels{"program": "control", "version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
