package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is a kind of fault.
type kind string

// The faults. Each lasts a while and is mended then.
const (
	consulKilled  kind = "Consul server killed"
	consulLeader  kind = "Consul leader killed"
	consulStopped kind = "Consul server stopped"
	consulSlow    kind = "Consul server slow"
	consulDown    kind = "all of Consul killed"
	controlKilled kind = "control service killed"
	controlEnded  kind = "control service restarted"
	controlStop   kind = "control service stopped"
	controlCrash  kind = "control service dies at a fault point"
	controlSlow   kind = "control service slow"
	agentKilled   kind = "agent killed"
	agentStopped  kind = "agent stopped"
	agentCrash    kind = "agent dies at a fault point"
	agentSlow     kind = "agent slow"
	nodeFrozen    kind = "node frozen"
	nodeOff       kind = "node without power"
	nodeDeclared  kind = "living node cut off and declared lost"
	nodeForced    kind = "living node cut off and declared lost by force"
	nodeDrained   kind = "node drained"
	cableOut      kind = "cable out"
	parted        kind = "two hosts cut from each other"
	oneWay        kind = "one host cut from another"
	clockWrong    kind = "clock wrong"
	allKilled     kind = "everything killed"
)

// class is a class of hosts.
type class string

const (
	consuls  class = "consul"
	controls class = "control"
	nodes    class = "node"
)

// fault is when and how a kind of fault comes.
type fault struct {
	kind     kind
	weight   int // how often, compared with others
	shortest time.Duration
	longest  time.Duration
	hosts    []class // whom it takes: one of each, of another class or the same
	all      class   // or all of a class; anyClass for everybody
}

const anyClass class = "any"

var faults = []fault{
	{kind: consulKilled, weight: 4, shortest: time.Second, longest: 5 * time.Second, hosts: []class{consuls}},
	{kind: consulLeader, weight: 4, shortest: time.Second, longest: 5 * time.Second, all: consuls},
	{kind: consulStopped, weight: 4, shortest: time.Second, longest: 6 * time.Second, hosts: []class{consuls}},
	{kind: consulSlow, weight: 3, shortest: 2 * time.Second, longest: 6 * time.Second, hosts: []class{consuls}},
	{kind: consulDown, weight: 2, shortest: time.Second, longest: 6 * time.Second, all: consuls},
	{kind: controlKilled, weight: 6, shortest: 0, longest: 4 * time.Second, hosts: []class{controls}},
	{kind: controlEnded, weight: 3, shortest: 0, longest: 2 * time.Second, hosts: []class{controls}},
	{kind: controlStop, weight: 6, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{controls}},
	{kind: controlCrash, weight: 6, shortest: 2 * time.Second, longest: 5 * time.Second, hosts: []class{controls}},
	{kind: controlSlow, weight: 3, shortest: 2 * time.Second, longest: 5 * time.Second, hosts: []class{controls}},
	{kind: agentKilled, weight: 6, shortest: 0, longest: 4 * time.Second, hosts: []class{nodes}},
	{kind: agentStopped, weight: 5, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: agentCrash, weight: 8, shortest: 2 * time.Second, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: agentSlow, weight: 3, shortest: 2 * time.Second, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: nodeFrozen, weight: 5, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: nodeOff, weight: 5, shortest: time.Second, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: nodeDeclared, weight: 3, shortest: 2 * time.Second, longest: 5 * time.Second, hosts: []class{nodes}},
	{kind: nodeForced, weight: 2, shortest: 2 * time.Second, longest: 5 * time.Second, hosts: []class{nodes}},
	{kind: nodeDrained, weight: 2, shortest: time.Second, longest: 5 * time.Second, hosts: []class{nodes}},
	{kind: cableOut, weight: 3, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{nodes}},
	{kind: cableOut, weight: 2, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{controls}},
	{kind: cableOut, weight: 2, shortest: 500 * time.Millisecond, longest: 6 * time.Second, hosts: []class{consuls}},
	{kind: parted, weight: 3, shortest: time.Second, longest: 8 * time.Second, hosts: []class{controls, nodes}},
	{kind: parted, weight: 2, shortest: time.Second, longest: 8 * time.Second, hosts: []class{consuls, controls}},
	{kind: parted, weight: 2, shortest: time.Second, longest: 8 * time.Second, hosts: []class{consuls, consuls}},
	{kind: oneWay, weight: 3, shortest: time.Second, longest: 8 * time.Second, hosts: []class{controls, nodes}},
	{kind: oneWay, weight: 3, shortest: time.Second, longest: 8 * time.Second, hosts: []class{nodes, controls}},
	{kind: oneWay, weight: 2, shortest: time.Second, longest: 8 * time.Second, hosts: []class{controls, consuls}},
	{kind: oneWay, weight: 2, shortest: time.Second, longest: 8 * time.Second, hosts: []class{consuls, consuls}},
	{kind: clockWrong, weight: 3, shortest: time.Second, longest: 10 * time.Second, hosts: []class{controls}},
	{kind: clockWrong, weight: 3, shortest: time.Second, longest: 10 * time.Second, hosts: []class{nodes}},
	{kind: allKilled, weight: 1, shortest: 0, longest: 3 * time.Second, all: anyClass},
}

// event is a fault that is planned.
type event struct {
	At    time.Duration
	For   time.Duration
	Kind  kind
	Hosts []string
	How   string // the fault point, the offset of the clock, ...
}

func (e event) String() string {
	text := fmt.Sprintf("%8.3fs for %.3fs: %s", e.At.Seconds(), e.For.Seconds(), e.Kind)
	if len(e.Hosts) > 0 {
		text += ", " + strings.Join(e.Hosts, ", ")
	}
	if e.How != "" {
		text += " (" + e.How + ")"
	}
	return text
}

// shape is what a plan is made for.
type shape struct {
	hosts  map[class][]string
	points map[class][]string // fault points of the programs
}

const (
	meanPause = 900 * time.Millisecond // between the beginnings of two faults
	settle    = time.Second            // that a host has between two faults
	quietEnd  = 2 * time.Second        // in which no fault begins any more
)

// makePlan plans the faults of a run. The same seed, length and shape make the
// same plan. No host has two faults at once, of Consul only one server, of the
// others never all but in the faults that take all.
func makePlan(seed uint64, length time.Duration, s shape) []event {
	r := rand.New(rand.NewPCG(seed, 1))
	p := planner{r: r, shape: s, free: map[string]time.Duration{}}
	var plan []event
	at := settle
	for {
		at += time.Duration(float64(meanPause) * min(4, r.ExpFloat64()))
		if at >= length-quietEnd {
			return plan
		}
		e, ok := p.next(at.Truncate(time.Millisecond))
		if !ok {
			continue
		}
		// A fault of many has waited until all of them were free.
		if at = e.At; at < length-quietEnd {
			plan = append(plan, e)
		}
	}
}

type planner struct {
	r     *rand.Rand
	shape shape
	free  map[string]time.Duration // when a host is free again
}

// next chooses a fault that can begin at a time, or somewhat later.
func (p *planner) next(at time.Duration) (event, bool) {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	n := p.r.IntN(total)
	var chosen fault
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			chosen = f
			break
		}
	}
	e := event{At: at, Kind: chosen.kind}
	e.For = (chosen.shortest + time.Duration(p.r.Int64N(int64(chosen.longest-chosen.shortest)+1))).Truncate(time.Millisecond)
	busy, ok := p.choose(chosen, &e)
	if !ok {
		return e, false
	}
	for _, h := range busy {
		p.free[h] = e.At + e.For + settle
	}
	p.detail(&e)
	return e, true
}

// choose chooses the hosts of a fault, and returns which are busy meanwhile.
func (p *planner) choose(f fault, e *event) (busy []string, ok bool) {
	if f.all != "" {
		for c, hosts := range p.shape.hosts {
			if c == f.all || f.all == anyClass {
				busy = append(busy, hosts...)
			}
		}
		slices.Sort(busy) // maps have no order, and a plan is to be made again
		for _, h := range busy {
			e.At = max(e.At, p.free[h])
		}
		return busy, true
	}
	for _, c := range f.hosts {
		all := p.shape.hosts[c]
		var free []string
		for _, h := range all {
			if p.free[h] <= e.At && !slices.Contains(e.Hosts, h) {
				free = append(free, h)
			}
		}
		// Consul needs two of its servers, and the others one of theirs.
		spare := 2
		if c == consuls {
			spare = len(all)
		}
		if len(free) < spare-countOf(e.Hosts, all) {
			return nil, false
		}
		h := free[p.r.IntN(len(free))]
		e.Hosts = append(e.Hosts, h)
		busy = append(busy, h)
	}
	return busy, true
}

func countOf(some, all []string) (n int) {
	for _, h := range some {
		if slices.Contains(all, h) {
			n++
		}
	}
	return n
}

// detail decides how a fault happens.
func (p *planner) detail(e *event) {
	switch e.Kind {
	case controlCrash:
		e.How = p.point(controls)
	case agentCrash:
		e.How = p.point(nodes)
	case controlSlow, agentSlow:
		e.How = fmt.Sprintf("*:delay=%dms,%.2f", 5+p.r.IntN(200), 0.1+0.9*p.r.Float64())
	case clockWrong:
		seconds := 1 + p.r.ExpFloat64()*3600
		e.How = fmt.Sprintf("%ds", int(min(seconds, 24*3600))*(1-2*p.r.IntN(2)))
	}
}

// point chooses a fault point, and the pass at which it kills.
func (p *planner) point(c class) string {
	points := p.shape.points[c]
	if len(points) == 0 {
		return ""
	}
	return fmt.Sprintf("%s#%d", points[p.r.IntN(len(points))], 1+p.r.IntN(4))
}
