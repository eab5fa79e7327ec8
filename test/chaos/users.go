package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

const (
	clients      = 6
	activeGroups = 4
	groupCalls   = 40 // after which a group is left alone until the end
)

// group are datasets that want one name.
type group struct {
	name  string
	ids   [groupSize]api.DatasetID
	calls int // the pool's mutex guards it
}

// pool has the groups.
type pool struct {
	mu     sync.Mutex
	active []*group
	all    []*group
}

// take returns a group for one more call; one that has had enough is replaced.
func (p *pool) take(r *rand.Rand) *group {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.active) < activeGroups {
		g := &group{name: fmt.Sprintf("group-%d", len(p.all))}
		for i := range g.ids {
			g.ids[i] = api.DatasetID(uuid.NewString())
		}
		p.active, p.all = append(p.active, g), append(p.all, g)
	}
	i := r.IntN(len(p.active))
	g := p.active[i]
	if g.calls++; g.calls >= groupCalls {
		p.active = append(p.active[:i], p.active[i+1:]...)
	}
	return g
}

// users call the REST API through all replicas.
type users struct {
	cluster *cluster.Cluster
	http    *http.Client
	history *history
	pool    pool
	nodes   []api.NodeID // real ones, and more that have no agent
	pause   time.Duration
	report  func(format string, args ...any)
}

// run makes calls as one client until ctx ends. Each call is decided on by the
// seed; what is answered is not.
func (u *users) run(ctx context.Context, seed uint64, client int) {
	r := rand.New(rand.NewPCG(seed, uint64(100+client)))
	for sleep(ctx, time.Duration(float64(u.pause)*min(4, r.ExpFloat64()))) {
		g := u.pool.take(r)
		in := input{group: g.name, dataset: r.IntN(groupSize), to: u.nodes[r.IntN(len(u.nodes))]}
		replica := u.cluster.Controls[r.IntN(len(u.cluster.Controls))]
		switch n := r.IntN(100); {
		case n < 25:
			in.verb = verbCreate
		case n < 50:
			in.verb = verbMove
		case n < 65:
			in.verb = verbSwap
		case n < 75:
			in.verb = verbDelete
		default:
			in.verb = verbRead
		}
		u.do(context.WithoutCancel(ctx), client, replica, g, in)
	}
}

// do makes one call and adds it to the history.
func (u *users) do(ctx context.Context, client int, replica *cluster.Control, g *group, in input) output {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var tag string
	if in.verb == verbSwap {
		var ok bool
		if tag, in.from, ok = u.look(ctx, replica, g.ids[in.dataset]); !ok {
			return output{outcome: unknown} // nothing was asked for
		}
	}
	method, path, body := http.MethodPost, datasetsPath+"/"+string(g.ids[in.dataset]), any(map[string]any{"primary": in.to})
	switch in.verb {
	case verbCreate:
		path = datasetsPath
		body = map[string]any{"primary": in.to, "dataset_id": g.ids[in.dataset], "maximum_size": api.MinSize,
			"metadata": map[string]string{"name": g.name}}
	case verbDelete:
		method, body, in.to = http.MethodDelete, nil, ""
	case verbRead:
		body, in.to = map[string]any{}, ""
	case verbMove, verbSwap:
	}
	begun := u.history.now()
	a, err := call(ctx, u.http, replica, method, path, tag, body)
	out, wrong := outcomeOf(in, a, err)
	if wrong != nil {
		u.report("%v", wrong)
	}
	u.history.add(client, in, begun, out)
	return out
}

// look returns where a replica shows a live dataset to be, and the tag of the
// configuration that it was seen in.
func (u *users) look(ctx context.Context, replica *cluster.Control, id api.DatasetID) (tag string, on api.NodeID, ok bool) {
	var all []configuration
	header, err := get(ctx, u.http, replica, datasetsPath, &all)
	if err != nil {
		return "", "", false
	}
	for _, d := range all {
		if d.ID == id && !d.Deleted {
			return header.Get(tagHeader), d.Primary, true
		}
	}
	return "", "", false
}

// finish reads every dataset once more, now that everything works: what was
// acknowledged must be there.
func (u *users) finish(ctx context.Context) error {
	for _, g := range u.pool.all {
		for i := range g.ids {
			replica := u.cluster.Controls[i%len(u.cluster.Controls)]
			if err := until(ctx, "dataset "+string(g.ids[i])+" is read", func() error {
				if out := u.do(ctx, clients, replica, g, input{group: g.name, verb: verbRead, dataset: i}); out.outcome == unknown {
					return fmt.Errorf("%s does not answer", replica.Name)
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
