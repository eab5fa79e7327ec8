package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/sim"
)

// population is a control service with played agents and datasets, all mounted.
type population struct {
	control  *control
	fleet    *sim.Fleet
	user     *client.Client
	nodes    []api.NodeID
	datasets []place
	random   *rand.Rand // with a seed of its own, so that runs are alike
}

// place is a dataset and where it is mounted.
type place struct {
	id api.DatasetID
	on api.NodeID
}

// seedingAtOnce is how many datasets are made at a time.
const seedingAtOnce = 64

// newPopulation attaches agents to a control service, by way of an address, and
// has them mount datasets, claimed by their names as containers do.
func newPopulation(c *control, agents string, nodes []api.NodeID, datasets int) (*population, error) {
	p := &population{control: c, nodes: nodes, datasets: make([]place, datasets), random: rand.New(rand.NewPCG(1, uint64(datasets)))}
	var err error
	if p.user, err = c.user(); err != nil {
		return nil, err
	}
	if p.fleet, err = sim.Start(sim.Options{Endpoints: []string{agents}, Nodes: nodes, TLS: c.certs.nodeTLS}); err != nil {
		return nil, err
	}
	ctx, cancel := patiently()
	defer cancel()
	if err := p.fleet.AwaitAttached(ctx, time.Time{}); err != nil {
		return nil, fmt.Errorf("attach agents: %w", err)
	}
	if err := p.seed(ctx); err != nil {
		return nil, fmt.Errorf("make datasets: %w", err)
	}
	return p, p.awaitMounted(ctx)
}

func (p *population) seed(ctx context.Context) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range seedingAtOnce {
		g.Go(func() error {
			for i := int(next.Add(1) - 1); i < len(p.datasets); i = int(next.Add(1) - 1) {
				node := p.nodes[i%len(p.nodes)]
				d, err := p.fleet.Claim(ctx, node, api.DatasetSpec{Name: fmt.Sprintf("dataset-%d", i)})
				if err != nil {
					return err
				}
				p.datasets[i] = place{d.ID, node}
			}
			return nil
		})
	}
	return g.Wait()
}

// awaitMounted waits until the control service knows of every dataset that it
// is mounted.
func (p *population) awaitMounted(ctx context.Context) error {
	for {
		states, err := p.user.DatasetStates(ctx)
		if err != nil {
			return err
		}
		mounted := 0
		for _, st := range states {
			if st.Path != "" {
				mounted++
			}
		}
		if mounted == len(p.datasets) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d datasets are mounted: %w", mounted, len(p.datasets), context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// moved is how long the steps of a move took, from the user's request on.
type moved struct {
	told    time.Duration // until the new node's stream brought it
	mounted time.Duration // until the new node's report was accepted
}

// move has the user move a dataset to another node, and waits until it is there.
func (p *population) move() (moved, error) {
	ctx, cancel := patiently()
	defer cancel()
	i := p.random.IntN(len(p.datasets))
	at := &p.datasets[i]
	to := p.nodes[p.random.IntN(len(p.nodes))]
	for to == at.on {
		to = p.nodes[p.random.IntN(len(p.nodes))]
	}
	w := p.fleet.Watch(at.id)
	defer w.Close()
	begin := time.Now()
	if _, err := p.user.Move(ctx, at.id, to, ""); err != nil {
		return moved{}, fmt.Errorf("move dataset: %w", err)
	}
	told, err := w.Await(ctx, func(ev sim.Event) bool { return ev.Node == to && ev.Told != nil })
	if err != nil {
		return moved{}, err
	}
	mounted, err := w.Await(ctx, func(ev sim.Event) bool { return ev.Node == to && ev.Reported == api.PhaseMounted })
	if err != nil {
		return moved{}, err
	}
	at.on = to
	return moved{told: told.At.Sub(begin), mounted: mounted.At.Sub(begin)}, nil
}

// close ends the agents and the control service.
func (p *population) close() error {
	p.fleet.Stop()
	p.user.Close()
	return p.control.process.stop()
}

// fileStore names an embedded log below a directory.
func fileStore(dir string) string { return "file:" + filepath.Join(dir, "log") }
