package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/watch"
)

// options say what is run.
type options struct {
	seed     uint64
	length   time.Duration // of the faults; converging comes on top
	programs *lab.Programs
	root     string // of the module's sources
	dir      string // for what shows anomalies
	logf     func(format string, args ...any)

	// The rest is for runs that are steered towards something.
	plan    []event       // nil for the seed's
	longest time.Duration // that a consumer uses a volume, 0 for longestUse
	volumes int           // that consumers share, 0 for volumes
	first   bool          // whether the first anomaly ends the run
}

const (
	replicas  = 3
	servers   = 3
	nodeCount = 4
	// heartbeat is short, so that nodes and replicas are lost and found often.
	heartbeat = 400 * time.Millisecond
	// callsPerSecond bounds what the users do together, and maxCalls how much
	// that is in all: the log remembers every dataset that there was.
	callsPerSecond = 80
	maxCalls       = 60_000
)

// run is one run.
type run struct {
	options
	cluster   *cluster.Cluster
	nemesis   *nemesis
	users     *users
	consumers *consumers
	instances *instances
	http      *http.Client
	real      map[api.NodeID]bool
	found     chan struct{} // closed with the first anomaly

	mu        sync.Mutex
	anomalies []string
	read      int
}

func (r *run) report(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.anomalies) == 0 {
		close(r.found)
	}
	if len(r.anomalies) < 200 {
		r.anomalies = append(r.anomalies, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// play runs a cluster under faults and checks it. The result has what was
// found; an error means that it could not be run.
func play(ctx context.Context, o options) (result *result, err error) {
	c, err := cluster.New(ctx, cluster.Options{
		Programs: o.programs, Nodes: nodeCount, Replicas: replicas, Consul: servers, NoMesos: true, WaitLimit: waitLimit,
		Control: map[string]string{"heartbeat": heartbeat.String()},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	host, err := c.Lab.Host(ctx, "user")
	if err != nil {
		return nil, err
	}
	client, err := c.UserClient(host, callTimeout)
	if err != nil {
		return nil, err
	}
	r := &run{options: o, cluster: c, http: client, nemesis: newNemesis(c, client, o.logf), real: map[api.NodeID]bool{}, found: make(chan struct{})}
	if err := r.prepare(); err != nil {
		r.nemesis.stop()
		return nil, err
	}
	watched, err := watch.Start(c)
	if err != nil {
		r.nemesis.stop()
		return nil, err
	}
	r.consumers.watch = watched
	begun := time.Now()
	err = r.nemesis.start(ctx)
	if err == nil {
		err = r.trouble(ctx)
	}
	r.nemesis.stop()
	if err == nil && !r.ended() {
		o.logf("all faults are over, everything must come to rest")
		if failure := r.converge(ctx); failure != nil {
			r.report("%v", failure)
		}
	}
	found, looks, watchErr := watched.Stop()
	r.anomalies = append(r.anomalies, found...)
	complaints, complaintsErr := c.Complaints()
	r.anomalies = append(r.anomalies, complaints...)
	if err := errors.Join(err, watchErr, complaintsErr); err != nil {
		return nil, err
	}
	result = r.result(time.Since(begun), looks)
	if len(result.anomalies) > 0 {
		if err := keepLogs(c, o.dir); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// ended reports whether the run has ended before its time, with what it was to find.
func (r *run) ended() bool {
	select {
	case <-r.found:
		return r.first
	case <-r.consumers.watch.Found():
		return r.first
	default:
		return false
	}
}

func (r *run) prepare() (err error) {
	s := shape{hosts: r.nemesis.names, points: map[class][]string{}}
	if s.points[controls], err = faultPoints(r.root, "control", "control/store/consul"); err != nil {
		return err
	}
	if s.points[nodes], err = faultPoints(r.root, "agent", "backend/loopback", "host"); err != nil {
		return err
	}
	if r.plan == nil {
		r.plan = makePlan(r.seed, r.length, s)
	}
	// Half of what users put somewhere becomes a volume; the rest is on nodes
	// that never come, which costs nothing but the record.
	var ids []api.NodeID
	for _, n := range r.cluster.Nodes {
		r.real[n.ID] = true
		ids = append(ids, n.ID, api.NodeID(uuid.NewString()))
	}
	perSecond := min(callsPerSecond, maxCalls/max(1, r.length.Seconds()))
	r.users = &users{
		cluster: r.cluster, http: r.http, history: newHistory(), nodes: ids, report: r.report,
		pause: time.Duration(clients / perSecond * float64(time.Second)),
	}
	r.consumers = newConsumers(r.cluster, cmp.Or(r.volumes, volumes), cmp.Or(r.longest, longestUse), r.report)
	r.instances = newInstances(r.consumers)
	r.nemesis.uses = r.consumers.uses
	return nil
}

// trouble runs all workloads beside the faults, for as long as the run is.
func (r *run) trouble(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.length)
	defer cancel()
	var work sync.WaitGroup
	if r.first {
		work.Go(func() {
			select {
			case <-r.found:
				cancel()
			case <-r.consumers.watch.Found():
				cancel()
			case <-ctx.Done():
			}
		})
	}
	for i := range clients {
		work.Go(func() { r.users.run(ctx, r.seed, i) })
	}
	for i := range nodeCount * consumersPerNode {
		work.Go(func() { r.consumers.run(ctx, r.seed, r.cluster.Nodes[i%nodeCount], i) })
	}
	for i := range nodeCount * instancesPerNode {
		work.Go(func() { r.instances.run(ctx, r.seed, r.cluster.Nodes[i%nodeCount], i) })
	}
	work.Go(func() { r.consumers.move(ctx, r.http, r.seed) })
	work.Go(func() { r.consumers.lease(ctx, r.http, r.seed) })
	for _, c := range r.cluster.Controls {
		work.Go(func() {
			n := readAlong(ctx, r.http, c, r.report)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.read += n
		})
	}
	err := r.nemesis.run(ctx, r.plan)
	<-ctx.Done()
	work.Wait()
	r.consumers.work.Wait()
	r.nemesis.work.Wait()
	return err
}
