package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/watch"
)

const (
	volumes          = 6 // that consumers share
	consumersPerNode = 2
	longestUse       = 2 * time.Second
	// preempted is the volume that consumers preempt now and then.
	preempted = 0
	waitLimit = 8 * time.Second // of the agents
)

// consumers use volumes on nodes, as containers do.
type consumers struct {
	cluster *cluster.Cluster
	ledgers []*ledger
	uses    *uses
	watch   *watch.Watch  // nil before the run
	longest time.Duration // that a consumer uses a volume
	report  func(format string, args ...any)

	work   sync.WaitGroup // what goes on behind ended consumers, until the run's faults end
	mu     sync.Mutex
	counts map[string]int
}

func newConsumers(c *cluster.Cluster, volumes int, longest time.Duration, report func(string, ...any)) *consumers {
	s := &consumers{cluster: c, uses: newUses(), longest: longest, report: report, counts: map[string]int{}}
	for i := range volumes {
		s.ledgers = append(s.ledgers, &ledger{name: fmt.Sprintf("volume-%d", i)})
	}
	return s
}

func (s *consumers) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// run uses one volume after the other on a node until ctx ends. Often it is the
// same again at once, as for a container that is started anew.
func (s *consumers) run(ctx context.Context, seed uint64, n *cluster.Node, number int) {
	r := rand.New(rand.NewPCG(seed, uint64(1000+number)))
	l := s.ledgers[r.IntN(len(s.ledgers))]
	for i := 0; ctx.Err() == nil; i++ {
		if r.IntN(2) == 0 {
			sleep(ctx, time.Duration(r.Int64N(int64(300*time.Millisecond))))
			l = s.ledgers[r.IntN(len(s.ledgers))]
		}
		length := time.Duration(r.Int64N(int64(s.longest)))
		preempt := r.IntN(3) == 0 && l == s.ledgers[preempted]
		s.session(ctx, n, l, fmt.Sprintf("%s-%d-%d", n.Name, number, i), length, preempt)
	}
}

// session is the life of one consumer.
func (s *consumers) session(ctx context.Context, n *cluster.Node, l *ledger, consumer string, length time.Duration, preempt bool) {
	boot := n.BootID()
	if preempt {
		defer s.preempt(ctx, n, l)()
	}
	m, err := acquire(ctx, n, api.VolumeRequest{Name: l.name, Preempt: preempt}, consumer)
	// It may have become a consumer though it did not hear so.
	defer s.release(context.WithoutCancel(ctx), n, consumer, boot)
	if err != nil {
		s.count("volume did not come")
		return
	}
	s.count("volume came")
	s.use(ctx, on(n, boot, consumer, m.DatasetID), l, m, length)
}

// use writes into a volume for a while.
func (s *consumers) use(ctx context.Context, u *use, l *ledger, m api.Mount, length time.Duration) {
	s.uses.begin(u)
	defer s.uses.end(u)
	watched, err := s.watch.Begin(ctx, &watch.Use{
		User: u.consumer, Volume: string(m.DatasetID), Instance: u.node.Instance, Path: m.Source, Device: m.Device, Mounts: u.node.Mounts,
		MayEnd: func() bool { return s.uses.mayEnd(u) != "" },
	})
	if err != nil {
		return // the run is over
	}
	defer func() { _ = watched(context.WithoutCancel(ctx)) }() // an end of the watch is told by its Stop
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	for {
		err := l.write(u.node, m)
		reason := s.uses.mayEnd(u)
		_, lost := errors.AsType[*lostError](err)
		switch {
		case reason == endedWithMachine, err != nil && reason != "" && !lost:
			s.count(reason)
			return
		case err != nil:
			s.report("consumer %s of %s on %s: %v", u.consumer, l.name, u.node.Name, err)
			return
		}
		s.count("written")
		if !sleep(ctx, 30*time.Millisecond) {
			return
		}
	}
}

// preempt has the uses of a volume on other machines end by pre-emption, from now on
// and until the caller has ended and nothing in the log preempts for its machine.
func (s *consumers) preempt(ctx context.Context, n *cluster.Node, l *ledger) (ended func()) {
	id := l.dataset()
	if id == "" { // its first use, which ends no other
		return func() {}
	}
	revoke := s.uses.allow(endedPreempted, func(u *use) bool { return u.dataset == id && u.node != n })
	return func() {
		s.work.Go(func() {
			err := until(ctx, "nothing preempts "+l.name, func() error {
				all, err := watch.Datasets(ctx, s.cluster)
				if err == nil && all[id] != nil && slices.ContainsFunc(all[id].Waiting, func(w api.Waiter) bool { return w.Preempt && w.Node == n.ID }) {
					err = errors.New(n.Name + " does")
				}
				return err
			})
			if err == nil {
				revoke()
			}
		})
	}
}

// off reports whether a machine has no power.
func off(n *cluster.Node) bool {
	_, err := n.Mounts()
	return err != nil
}

// acquire has a consumer use a volume and waits until it can.
func acquire(ctx context.Context, n *cluster.Node, volume api.VolumeRequest, consumer string) (api.Mount, error) {
	volume.Key, volume.Size = "data", api.MinSize
	ctx, cancel := context.WithTimeout(ctx, 2*waitLimit)
	defer cancel()
	_, err := n.Ask(ctx, api.LocalRequest{Acquire: &api.AcquireRequest{
		Consumer: consumer, Kind: api.ConsumerDVDCLI, Volumes: []api.VolumeRequest{volume},
	}})
	if err != nil {
		return api.Mount{}, err
	}
	reply, err := n.Ask(ctx, api.LocalRequest{Await: &api.AwaitRequest{Consumer: consumer}})
	if err != nil {
		return api.Mount{}, err
	}
	if len(reply.Mounts) != 1 || !reply.Mounts[0].Ready {
		return api.Mount{}, errors.New("it is not ready after all")
	}
	return reply.Mounts[0], nil
}

// release ends a consumer. It is done when the agent says so, or when the
// machine has died, which ends all consumers.
func (s *consumers) release(ctx context.Context, n *cluster.Node, consumer, boot string) {
	err := until(ctx, consumer+" is released", func() error {
		if n.BootID() != boot {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := n.Ask(ctx, api.LocalRequest{Release: &api.ReleaseRequest{Consumer: consumer}})
		return err
	})
	if err != nil {
		s.report("%v", err)
	}
}

// move has a user move the consumers' volumes about until ctx ends.
func (s *consumers) move(ctx context.Context, client *http.Client, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	for sleep(ctx, time.Duration(r.Int64N(int64(2*time.Second)))) {
		l, to := s.ledgers[r.IntN(len(s.ledgers))], s.cluster.Nodes[r.IntN(len(s.cluster.Nodes))]
		replica := s.cluster.Controls[r.IntN(len(s.cluster.Controls))]
		id := l.dataset()
		if id == "" {
			continue
		}
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		a, err := call(callCtx, client, replica, http.MethodPost, datasetsPath+"/"+string(id), "", map[string]any{"primary": to.ID})
		cancel()
		if err == nil && a.status == http.StatusOK {
			s.count("moved by a user")
		}
	}
}
