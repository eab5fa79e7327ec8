package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/consul"
)

// What P12 does to the servers, and how many callers go on meanwhile.
const (
	outageCallers = 8
	replicas      = 2
	calmBefore    = 200 * time.Millisecond // so that there is something to compare with
	calmAfter     = 500 * time.Millisecond // in which every caller has come through
	leaderKills   = 7
	addedLimit    = 100 * time.Millisecond
)

// benchOutage measures what callers notice when a replica of the control
// service is killed, and when Consul's leader is.
func benchOutage(s settings) ([]result, error) {
	return withConsul(s, func(c *consul.Cluster) ([]result, error) {
		certs, err := makeCertificates(filepath.Join(s.dir, "certs"), 1)
		if err != nil {
			return nil, err
		}
		o := &outage{consul: c, node: certs.nodes[0]}
		var endpoints []string
		for i := range replicas {
			replica, err := newControl(s, filepath.Join(s.dir, fmt.Sprintf("control-%d", i)), certs, consulStore("outage", leaderFirst(c)...))
			if err != nil {
				return nil, err
			}
			o.replicas, endpoints = append(o.replicas, replica), append(endpoints, replica.users)
		}
		for range outageCallers {
			user, err := newUser(certs, endpoints...)
			if err != nil {
				return nil, err
			}
			o.users = append(o.users, user)
		}
		killed, err := o.killReplicas(max(s.rounds*3/4, 30))
		if err != nil {
			return nil, err
		}
		leader, err := o.killLeaders()
		if err != nil {
			return nil, err
		}
		return append(killed, leader), joined(o.replicas[0].process.stop, o.replicas[1].process.stop)
	})
}

// outage is a control service of two replicas, and who calls it.
type outage struct {
	consul   *consul.Cluster
	replicas []*control
	users    []*client.Client
	node     api.NodeID
	number   atomic.Int64
}

// write creates a dataset, and read looks at the nodes.
func (o *outage) write(ctx context.Context, caller int) error {
	_, err := o.users[caller].Create(ctx, client.CreateRequest{
		Primary: o.node, Metadata: map[string]string{"name": fmt.Sprintf("dataset-%d", o.number.Add(1))},
	}, "")
	return err
}

func (o *outage) read(ctx context.Context, caller int) error {
	_, err := o.users[caller].Nodes(ctx)
	return err
}

// calls are what callers have seen.
type calls struct {
	mu     sync.Mutex
	took   series
	done   []time.Time // of the successes
	failed []error
}

func (c *calls) add(begin time.Time, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.took = append(c.took, now.Sub(begin))
	c.done = append(c.done, now)
}

// longestGap returns the longest time between two successes, one after another.
func (c *calls) longestGap() time.Duration {
	slices.SortFunc(c.done, time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(c.done); i++ {
		longest = max(longest, c.done[i].Sub(c.done[i-1]))
	}
	return longest
}

// calling has callers call until the function that it returns is called.
func calling(callers int, call func(ctx context.Context, caller int) error) (stop func() *calls) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var seen calls
	for caller := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				limited, done := context.WithTimeout(context.WithoutCancel(ctx), patience)
				err := call(limited, caller)
				done()
				seen.add(begin, err)
			}
		})
	}
	return func() *calls {
		cancel()
		wg.Wait()
		return &seen
	}
}

// killReplicas kills, in turns, the replica that the callers use. Each kill
// makes them go to the other one.
func (o *outage) killReplicas(rounds int) ([]result, error) {
	var added series
	var failed []error
	count := 0
	for round := range rounds {
		replica := o.replicas[round%replicas]
		stop := calling(outageCallers, func(ctx context.Context, caller int) error {
			return errors.Join(o.write(ctx, caller), o.read(ctx, caller))
		})
		<-time.After(calmBefore)
		replica.process.kill()
		<-time.After(calmAfter)
		seen := stop()
		failed = append(failed, seen.failed...)
		count += len(seen.took) + len(seen.failed)
		added = append(added, max(0, seen.took.quantile(1)-seen.took.median()))
		if err := replica.start(); err != nil {
			return nil, err
		}
	}
	what := fmt.Sprintf("failed calls of %d, two endpoints, replica in use killed %d times", 2*count, rounds)
	if len(failed) > 0 {
		what += fmt.Sprintf(" (%v)", failed[0])
	}
	return []result{
		{goal: "P12", what: what, none: true, value: float64(len(failed))},
		{
			goal: "P12", what: "what the slowest call of a kill took more than the median call / 100 ms", limit: 1,
			value: float64(added.median()) / float64(addedLimit), ours: fmt.Sprintf("%s, worst %s", added, short(added.quantile(1))),
			floor: short(addedLimit),
		},
	}, nil
}

// killLeaders kills Consul's leader some times, while some write through us and
// others put into Consul, and compares their outages.
func (o *outage) killLeaders() (result, error) {
	var ours, floor series
	raw := newRawCluster(o.consul.Addresses())
	for range leaderKills {
		leader := o.consul.Leader()
		stopOurs := calling(outageCallers, o.write)
		stopRaw := calling(outageCallers, func(ctx context.Context, caller int) error {
			return raw.put(ctx, caller, fmt.Sprintf("raw/%d", o.number.Add(1)))
		})
		<-time.After(calmBefore)
		o.consul.Kill(leader)
		o.consul.Leader()
		<-time.After(2 * calmAfter)
		ours, floor = append(ours, stopOurs().longestGap()), append(floor, stopRaw().longestGap())
		o.consul.Restart(leader)
		if err := o.settled(); err != nil {
			return result{}, err
		}
	}
	return ratio("P12", "no write succeeds after Consul's leader was killed: ours / Consul's own", 1.1, ours, floor), nil
}

// settled waits until all servers serve again.
func (o *outage) settled() error {
	ctx, cancel := patiently()
	defer cancel()
	for _, address := range o.consul.Addresses() {
		for newRawConsul(address).put(ctx, "settled") != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s serves: %w", address, context.Cause(ctx))
			}
		}
	}
	return nil
}

// rawCluster puts into whichever of several servers answers.
type rawCluster struct {
	servers []*rawConsul
	last    []atomic.Int64 // server by caller
}

func newRawCluster(addresses []string) *rawCluster {
	r := &rawCluster{last: make([]atomic.Int64, outageCallers)}
	for _, a := range addresses {
		r.servers = append(r.servers, newRawConsul(a))
	}
	return r
}

func (r *rawCluster) put(ctx context.Context, caller int, key string) error {
	at := int(r.last[caller].Load())
	err := r.servers[at].put(ctx, key)
	if err != nil {
		r.last[caller].Store(int64((at + 1) % len(r.servers)))
	}
	return err
}
