package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/watch"
)

// clockFile is where the hosts have how wrong their clocks are.
const clockFile = "/run/clock"

// lateEffect is how long after it was made a call that got no answer may take effect.
const lateEffect = 20 * time.Second

// nemesis carries out a plan.
type nemesis struct {
	cluster *cluster.Cluster
	units   map[string]*unit // by host
	hosts   map[string]*lab.Host
	names   map[class][]string
	http    *http.Client // of an operator
	uses    *uses
	work    sync.WaitGroup // what goes on behind mended faults
	logf    func(format string, args ...any)

	mu     sync.Mutex
	locks  map[string]*sync.Mutex // of hosts
	counts map[kind]int
	failed error
}

func newNemesis(c *cluster.Cluster, operator *http.Client, logf func(string, ...any)) *nemesis {
	n := &nemesis{
		cluster: c, http: operator, units: map[string]*unit{}, hosts: map[string]*lab.Host{}, names: map[class][]string{}, logf: logf,
		locks: map[string]*sync.Mutex{}, counts: map[kind]int{},
	}
	add := func(of class, h *lab.Host, launch func(env ...string) (*lab.Process, error)) {
		n.hosts[h.Name], n.locks[h.Name] = h, &sync.Mutex{}
		n.units[h.Name] = newUnit(h.Name, launch, logf)
		n.names[of] = append(n.names[of], h.Name)
	}
	for _, s := range c.Consul {
		add(consuls, s.Host, func(...string) (*lab.Process, error) { err := s.Start(); return s.Process, err })
	}
	for _, r := range c.Controls {
		add(controls, r.Host, func(env ...string) (*lab.Process, error) { err := r.Launch(env...); return r.Process, err })
	}
	for _, node := range c.Nodes {
		add(nodes, node.Host, func(env ...string) (*lab.Process, error) {
			err := node.Start(context.Background(), env...)
			return node.Agent, err
		})
	}
	return n
}

// start starts everything.
func (n *nemesis) start(ctx context.Context) error {
	for _, of := range []class{consuls, controls, nodes} {
		for _, name := range n.names[of] {
			if err := n.units[name].start(); err != nil {
				return err
			}
		}
		if of == consuls {
			if err := n.cluster.AwaitLeader(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// run carries out the plan. When ctx ends, all faults are mended at once.
func (n *nemesis) run(ctx context.Context, plan []event) error {
	begun := time.Now()
	var wg sync.WaitGroup
	for _, e := range plan {
		wg.Go(func() {
			if !sleep(ctx, time.Until(begun.Add(e.At))) {
				return
			}
			if err := n.happen(ctx, e); err != nil {
				n.mu.Lock()
				n.failed = errors.Join(n.failed, fmt.Errorf("%s: %w", e, err))
				n.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n.failed
}

// sleep waits and reports whether ctx did not end meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// happen has a fault happen and mends it.
func (n *nemesis) happen(ctx context.Context, e event) error {
	defer n.lock(e)()
	n.logf("%s", e)
	n.mu.Lock()
	n.counts[e.Kind]++
	n.mu.Unlock()
	mend, err := n.strike(ctx, e)
	if err != nil {
		return err
	}
	sleep(ctx, e.For)
	// What has been broken is mended even when the run is ended.
	return mend(context.WithoutCancel(ctx))
}

// lock takes the hosts of a fault, in order, though the plan keeps faults of
// one host apart: mending may have taken longer than planned.
func (n *nemesis) lock(e event) (unlock func()) {
	names := slices.Clone(e.Hosts)
	switch e.Kind {
	case consulDown, consulLeader:
		names = slices.Clone(n.names[consuls])
	case allKilled:
		for _, of := range n.names {
			names = append(names, of...)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n.locks[name].Lock()
	}
	return func() {
		for _, name := range names {
			n.locks[name].Unlock()
		}
	}
}

type mending func(context.Context) error

// strike has a fault begin and returns what mends it.
func (n *nemesis) strike(ctx context.Context, e event) (mending, error) {
	ctx = context.WithoutCancel(ctx) // half a fault could not be mended
	switch e.Kind {
	case consulLeader:
		leader, err := n.cluster.Leader(ctx)
		if err != nil {
			return func(context.Context) error { return nil }, nil //nolint:nilerr // there is none to kill
		}
		return n.kill(leader.Name), nil
	case consulDown:
		return n.kill(n.names[consuls]...), nil
	case allKilled:
		return n.kill(slices.Concat(n.names[controls], n.names[consuls], n.names[nodes])...), nil
	case consulKilled, controlKilled, agentKilled:
		return n.kill(e.Hosts...), nil
	case controlEnded:
		u := n.units[e.Hosts[0]]
		u.end()
		return func(context.Context) error { return u.start() }, nil
	case consulStopped, controlStop, agentStopped:
		u := n.units[e.Hosts[0]]
		u.signal(syscall.SIGSTOP)
		return func(context.Context) error { u.signal(syscall.SIGCONT); return nil }, nil
	case consulSlow:
		return n.slow(n.units[e.Hosts[0]], e.For), nil
	case controlCrash, agentCrash, controlSlow, agentSlow:
		return n.spoil(n.units[e.Hosts[0]], e.How)
	default:
		return n.strikeHost(ctx, e)
	}
}

// strikeHost is strike for faults of machines and their network.
func (n *nemesis) strikeHost(ctx context.Context, e event) (mending, error) {
	h := n.hosts[e.Hosts[0]]
	switch e.Kind {
	case nodeFrozen:
		return func(context.Context) error { return h.Thaw() }, h.Freeze(ctx)
	case nodeOff:
		n.units[h.Name].kill()
		return func(ctx context.Context) error {
			return errors.Join(h.PowerOn(ctx), n.units[h.Name].start())
		}, h.PowerOff()
	case nodeDeclared:
		return func(ctx context.Context) error {
			// It is wrong about that: the machine is as alive as before.
			_, _ = n.operate(ctx, h.Name, http.MethodPost, "lost")
			sleep(ctx, time.Second)
			return h.Plug(ctx, true)
		}, h.Plug(ctx, false)
	case nodeForced:
		node := n.cluster.Node(h.Name)
		return func(ctx context.Context) error {
			revoke := n.uses.allow(endedForced, func(u *use) bool { return u.node == node })
			open, _ := n.operate(ctx, h.Name, http.MethodPost, "lost?force=true")
			sleep(ctx, time.Second)
			err := h.Plug(ctx, true)
			n.work.Go(func() {
				if open {
					sleep(ctx, lateEffect)
				}
				n.awaitTenure(ctx, node, revoke)
			})
			return err
		}, h.Plug(ctx, false)
	case nodeDrained:
		_, _ = n.operate(ctx, h.Name, http.MethodPost, "drain")
		return func(ctx context.Context) error {
			return until(ctx, "draining of "+h.Name+" ends", func() error {
				_, err := n.operate(ctx, h.Name, http.MethodDelete, "drain")
				return err
			})
		}, nil
	case cableOut:
		return func(ctx context.Context) error { return h.Plug(ctx, true) }, h.Plug(ctx, false)
	case parted:
		other := n.hosts[e.Hosts[1]]
		return func(ctx context.Context) error { return lab.Rejoin(ctx, h, other) }, lab.Part(ctx, h, other)
	case oneWay:
		other := n.hosts[e.Hosts[1]]
		return func(ctx context.Context) error { return h.Mend(ctx, other) }, h.Cut(ctx, other)
	case clockWrong:
		set := func(offset string) error { return os.WriteFile(h.Path(clockFile), []byte(offset), 0o644) }
		return func(context.Context) error { return set("0s") }, set(e.How)
	default:
		return nil, fmt.Errorf("nobody knows how that happens")
	}
}

// awaitTenure calls back once a node that was given up by force is connected again
// and has no tenure that was ended: what it is given from then on is its own.
func (n *nemesis) awaitTenure(ctx context.Context, node *cluster.Node, callback func()) {
	err := until(ctx, node.Name+" has no tenure that was ended", func() error {
		status, err := node.Status(ctx)
		if err != nil {
			return err
		}
		if !status.Connected {
			return errors.New(status.Control)
		}
		all, err := watch.Datasets(ctx, n.cluster)
		for _, d := range all {
			if d.Revoked() && d.HeldBy(node.ID) {
				err = fmt.Errorf("%s was taken from it", d.ID)
			}
		}
		return err
	})
	if err == nil {
		callback()
	}
}

// operate does something to a node through the first replica that can. It reports
// whether a call is open: it got no answer, and may take effect later.
func (n *nemesis) operate(ctx context.Context, node, method, what string) (open bool, err error) {
	id := n.cluster.Node(node).ID
	var errs []error
	for _, r := range n.cluster.Controls {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		a, err := call(ctx, n.http, r, method, "/v1/nodes/"+string(id)+"/"+what, "", nil)
		cancel()
		if err == nil && (a.status < http.StatusMultipleChoices || method == http.MethodDelete && a.status == http.StatusNotFound) {
			return open, nil // a node that never connected has nothing to be ended
		}
		open = open || err != nil && !unsent(err) || a.status == http.StatusServiceUnavailable
		errs = append(errs, err, fmt.Errorf("%s answers %d %s", r.Name, a.status, a.body))
	}
	return open, errors.Join(errs...)
}

// kill kills programs at once, and lets them be started again together.
func (n *nemesis) kill(names ...string) mending {
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(n.units[name].kill)
	}
	wg.Wait()
	return func(context.Context) error {
		var errs []error
		for _, name := range names {
			errs = append(errs, n.units[name].start())
		}
		return errors.Join(errs...)
	}
}

// spoil starts a program anew with a fault in its environment. Once it is
// over, the program is started without.
func (n *nemesis) spoil(u *unit, how string) (mending, error) {
	u.kill()
	return func(context.Context) error { u.kill(); return u.start() }, u.start("FLOCKER_FAULT=" + how)
}

// slow lets a program run half of the time, in turns.
func (n *nemesis) slow(u *unit, length time.Duration) mending {
	const turn = 40 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), length)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			u.signal(syscall.SIGSTOP)
			sleep(ctx, turn)
			u.signal(syscall.SIGCONT)
			sleep(ctx, turn)
		}
	}()
	return func(context.Context) error {
		cancel()
		<-ended
		return nil
	}
}

// deaths returns how often programs ended though they should run.
func (n *nemesis) deaths() (sum int) {
	for _, u := range n.units {
		u.mu.Lock()
		sum += u.deaths
		u.mu.Unlock()
	}
	return sum
}

// stop leaves all programs to themselves.
func (n *nemesis) stop() {
	for _, u := range n.units {
		u.stop()
	}
}
