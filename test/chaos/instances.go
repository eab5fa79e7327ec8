package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// There are two instances on each node, and fewer members than instances: so some
// always wait, for what another node or their own has.
const (
	setName          = "set"
	setMembers       = 5
	instancesPerNode = 2
)

// instances use the members of a volume set, as those of an app do: each has one
// to itself.
type instances struct {
	*consumers

	mu      sync.Mutex
	ledgers map[string]*ledger // by the names of the members
	live    map[string]*use
}

func newInstances(s *consumers) *instances {
	return &instances{consumers: s, ledgers: map[string]*ledger{}, live: map[string]*use{}}
}

// run has an instance on a node, one after the other, until ctx ends.
func (s *instances) run(ctx context.Context, seed uint64, n *cluster.Node, number int) {
	r := rand.New(rand.NewPCG(seed, uint64(2000+number)))
	for i := 0; ctx.Err() == nil; i++ {
		if r.IntN(2) == 0 {
			sleep(ctx, time.Duration(r.Int64N(int64(300*time.Millisecond))))
		}
		s.session(ctx, n, fmt.Sprintf("instance-%s-%d-%d", n.Name, number, i), time.Duration(r.Int64N(int64(s.longest))))
	}
}

// session is the life of one instance.
func (s *instances) session(ctx context.Context, n *cluster.Node, consumer string, length time.Duration) {
	boot := n.BootID()
	m, err := acquire(ctx, n, member(), consumer)
	// It may have become a consumer though it did not hear so.
	defer s.release(context.WithoutCancel(ctx), n, consumer, boot)
	if err != nil {
		s.count("member of a set did not come")
		return
	}
	s.count("member of a set came")
	u := on(n, boot, consumer, m.DatasetID)
	l, end := s.begin(m, u)
	defer end() // before it is released
	s.use(ctx, u, l, m, length)
}

func member() api.VolumeRequest { return api.VolumeRequest{Name: setName, Each: setMembers} }

// begin notes that an instance has a member from now on, which no other instance may
// have whose use may not be ended.
func (s *instances) begin(m api.Mount, u *use) (l *ledger, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, taken := s.live[m.Name]; taken && s.uses.mayEnd(other) == "" {
		s.report("%s is used by %s on %s, and was given to %s on %s", m.Name, other.consumer, other.node.Name, u.consumer, u.node.Name)
	}
	s.live[m.Name] = u
	if s.ledgers[m.Name] == nil {
		s.ledgers[m.Name] = &ledger{name: m.Name}
	}
	return s.ledgers[m.Name], func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.live[m.Name] == u {
			delete(s.live, m.Name)
		}
	}
}

// lastLook checks that as many instances as there are members get one each, with
// what was written into it last.
func (s *instances) lastLook(ctx context.Context) error {
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for i := range setMembers {
		n := s.cluster.Nodes[i%nodeCount]
		consumer, boot := fmt.Sprint("last-instance-", i), n.BootID()
		var m api.Mount
		err := until(ctx, fmt.Sprintf("a member of %s comes to %s", setName, n.Name), func() (err error) {
			if m, err = acquire(ctx, n, member(), consumer); err != nil {
				s.release(ctx, n, consumer, boot)
			}
			return err
		})
		if err != nil {
			return err
		}
		l, end := s.begin(m, on(n, boot, consumer, m.DatasetID))
		ends = append(ends, end, func() { s.release(ctx, n, consumer, boot) })
		if err := l.check(n, m); err != nil {
			return err
		}
	}
	return nil
}
