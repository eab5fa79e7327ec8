package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/flocker-mesos/flocker/api"
)

// step is a call in a history: from and to are times, 0 for one that was never
// answered.
type step struct {
	from, to int64
	in       input
	out      output
}

func (h *history) plant(steps ...step) {
	for i, s := range steps {
		if s.in.group == "" {
			s.in.group = "g"
		}
		op := porcupine.Operation{ClientId: i, Input: s.in, Call: s.from, Output: s.out, Return: s.to}
		if s.to == 0 {
			op.Return = 1 << 62
		}
		h.ops = append(h.ops, op)
	}
}

const (
	a = api.NodeID("a")
	b = api.NodeID("b")
)

func TestHistoriesThatCannotBeAreFound(t *testing.T) {
	create := func(from, to int64, dataset int, on api.NodeID) step {
		return step{from, to, input{verb: verbCreate, dataset: dataset, to: on}, output{done, on}}
	}
	read := func(from, to int64, on api.NodeID) step {
		return step{from, to, input{verb: verbRead}, output{done, on}}
	}
	move := func(from, to int64, on api.NodeID) step {
		return step{from, to, input{verb: verbMove, to: on}, output{done, on}}
	}
	swap := func(from, to int64, was, on api.NodeID) step {
		return step{from, to, input{verb: verbSwap, from: was, to: on}, output{done, on}}
	}
	remove := step{5, 6, input{verb: verbDelete}, output{outcome: done}}
	unanswered := step{3, 0, input{verb: verbMove, to: b}, output{outcome: unknown}}
	for name, c := range map[string]struct {
		steps []step
		wrong bool
	}{
		"one after the other":                    {steps: []step{create(1, 2, 0, a), move(3, 4, b), read(5, 6, b)}},
		"a lost create":                          {steps: []step{create(1, 2, 0, a), {3, 4, input{verb: verbRead}, output{outcome: missing}}}, wrong: true},
		"a lost move":                            {steps: []step{create(1, 2, 0, a), move(3, 4, b), read(5, 6, a)}, wrong: true},
		"a read beside a move":                   {steps: []step{create(1, 2, 0, a), move(3, 8, b), read(4, 5, a), read(6, 7, b)}},
		"a read that goes back":                  {steps: []step{create(1, 2, 0, a), move(3, 10, b), read(4, 5, b), read(6, 7, a)}, wrong: true},
		"an unanswered move that came":           {steps: []step{create(1, 2, 0, a), unanswered, read(5, 6, b)}},
		"an unanswered move that came late":      {steps: []step{create(1, 2, 0, a), unanswered, read(5, 6, a), read(7, 8, b)}},
		"an unanswered move that came twice":     {steps: []step{create(1, 2, 0, a), unanswered, read(4, 5, b), move(6, 7, a), read(8, 9, b)}, wrong: true},
		"an unanswered move that came too early": {steps: []step{create(1, 2, 0, a), {5, 0, input{verb: verbMove, to: b}, output{outcome: unknown}}, read(3, 4, b)}, wrong: true},
		"two winners of one condition":           {steps: []step{create(1, 2, 0, a), swap(3, 8, a, b), swap(3, 8, a, b)}, wrong: true},
		"a winner and a loser":                   {steps: []step{create(1, 2, 0, a), swap(3, 8, a, b), {3, 8, input{verb: verbSwap, from: a, to: b}, output{outcome: mismatched}}}},
		"a name given twice":                     {steps: []step{create(1, 4, 0, a), create(2, 5, 1, b)}, wrong: true},
		"a name given again after a delete":      {steps: []step{create(1, 4, 0, a), remove, create(7, 8, 1, b)}},
		"an id given twice":                      {steps: []step{create(1, 4, 0, a), remove, create(7, 8, 0, b)}, wrong: true},
		"a deleted dataset that lives":           {steps: []step{create(1, 4, 0, a), remove, read(7, 8, a)}, wrong: true},
		"a move of nothing":                      {steps: []step{move(1, 2, a)}, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHistory(), t.TempDir()
			h.plant(c.steps...)
			other := c.steps[0]
			other.in.group = "other" // which is checked apart
			h.plant(other)
			groups, undecided, anomalies := h.check(dir)
			if groups != 2 || undecided != 0 {
				t.Errorf("got %d groups, %d undecided, want 2 and 0", groups, undecided)
			}
			if name == "a move of nothing" {
				return // both are wrong
			}
			drawn, err := os.ReadDir(dir)
			if want := map[bool]int{true: 1}[c.wrong]; err != nil || len(anomalies) != want || len(drawn) != want {
				t.Errorf("got %q and %d pictures, %v, want %d", anomalies, len(drawn), err, want)
			}
		})
	}
}

// coded is the header of a failure.
func coded(code, field string) http.Header {
	h := http.Header{}
	h.Set(api.HeaderError, code)
	h.Set(api.HeaderErrorField, field)
	return h
}

func TestAnswersAreUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		verb  verb
		ans   answer
		err   error
		want  output
		wrong bool
	}{
		"done":             {verb: verbMove, ans: answer{status: 200, body: []byte(`{"primary": "a"}`)}, want: output{done, a}},
		"deleted now":      {verb: verbDelete, ans: answer{status: 200, body: []byte(`{"primary": "a", "deleted": true}`)}, want: output{outcome: done}},
		"id taken":         {verb: verbCreate, ans: answer{status: 409, header: coded("conflict", ""), body: []byte(`{"description": "x"}`)}, want: output{outcome: taken}},
		"name taken":       {verb: verbCreate, ans: answer{status: 409, header: coded("conflict", "metadata"), body: []byte(`{"description": "metadata: x"}`)}, want: output{outcome: nameTaken}},
		"not now":          {verb: verbMove, ans: answer{status: 503, header: coded("unavailable", ""), body: []byte(`{"description": "x"}`)}, want: output{outcome: unknown}},
		"nothing changed":  {verb: verbMove, ans: answer{status: 503, header: coded("unavailable", ""), body: []byte(`{"description": "nothing was changed: x"}`)}, want: output{outcome: nothing}},
		"never reached":    {verb: verbMove, err: &net.OpError{Op: "dial", Err: errors.New("no route")}, want: output{outcome: nothing}},
		"no answer":        {verb: verbMove, err: errors.New("the wire was cut"), want: output{outcome: unknown}},
		"tag mismatch":     {verb: verbSwap, ans: answer{status: 412, header: coded("precondition", ""), body: []byte(`{"description": "x"}`)}, want: output{outcome: mismatched}},
		"no condition":     {verb: verbMove, ans: answer{status: 412, header: coded("precondition", ""), body: []byte(`{"description": "x"}`)}, want: output{outcome: unknown}, wrong: true},
		"a defect":         {verb: verbMove, ans: answer{status: 500, header: coded("internal", ""), body: []byte(`{"description": "x"}`)}, want: output{outcome: unknown}, wrong: true},
		"not of ours":      {verb: verbMove, ans: answer{status: 409, body: []byte(`{"description": "x"}`)}, want: output{outcome: unknown}, wrong: true},
		"not even an text": {verb: verbMove, ans: answer{status: http.StatusOK, body: []byte(`<html>`)}, want: output{outcome: unknown}, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, wrong := outcomeOf(input{verb: c.verb}, c.ans, c.err)
			if got != c.want || (wrong != nil) != c.wrong {
				t.Errorf("got %+v, %v, want %+v", got, wrong, c.want)
			}
		})
	}
}

func TestLostStampsAreFound(t *testing.T) {
	l := &ledger{name: "v", written: 5, attempted: 6}
	for got, ok := range map[int]bool{0: false, 4: false, 5: true, 6: true, 7: false} {
		err := l.compare(got)
		if _, lost := errors.AsType[*lostError](err); lost == ok {
			t.Errorf("%d in a volume that has 5 or 6: got %v", got, err)
		}
	}
}

func TestWhatMayEndAUseIsKnown(t *testing.T) {
	alive, dead := func() bool { return true }, func() bool { return false }
	mine := func(u *use) bool { return u.consumer == "c" }
	other := func(u *use) bool { return u.consumer != "c" }
	for name, c := range map[string]struct {
		steps func(s *uses, u *use)
		alive func() bool
		want  string
	}{
		"nothing happened":         {steps: func(s *uses, u *use) { s.begin(u) }},
		"its machine died":         {steps: func(s *uses, u *use) { s.begin(u) }, alive: dead, want: endedWithMachine},
		"it was pre-empted":        {steps: func(s *uses, u *use) { s.begin(u); s.allow(endedPreempted, mine) }, want: endedPreempted},
		"another was pre-empted":   {steps: func(s *uses, u *use) { s.begin(u); s.allow(endedPreempted, other) }},
		"it began while that held": {steps: func(s *uses, u *use) { s.allow(endedForced, mine); s.begin(u) }, want: endedForced},
		"that held, and no longer": {steps: func(s *uses, u *use) { s.begin(u); s.allow(endedForced, mine)() }, want: endedForced},
		"it began after that held": {steps: func(s *uses, u *use) { s.allow(endedForced, mine)(); s.begin(u) }},
	} {
		t.Run(name, func(t *testing.T) {
			s, u := newUses(), &use{consumer: "c", alive: alive}
			if c.alive != nil {
				u.alive = c.alive
			}
			c.steps(s, u)
			if got := s.mayEnd(u); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if s.end(u); len(s.live) != 0 {
				t.Error("the use has ended and is live")
			}
		})
	}
}

func TestStampIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		if err := putStamp(dir, n); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, stampFile)); err != nil || string(text) != fmt.Sprint(n) {
			t.Errorf("got %q, %v, want %d", text, err, n)
		}
	}
}

func TestReplicaThatGoesBackIsFound(t *testing.T) {
	detail := func(change func(*api.Dataset)) []*api.DatasetDetail {
		d := &api.Dataset{ID: "d", Revision: 5, Epoch: 2}
		if change != nil {
			change(d)
		}
		return []*api.DatasetDetail{{Dataset: d}}
	}
	for name, c := range map[string]struct {
		next  []*api.DatasetDetail
		wrong bool
	}{
		"the same":            {next: detail(nil)},
		"a newer revision":    {next: detail(func(d *api.Dataset) { d.Revision = 6 })},
		"an older revision":   {next: detail(func(d *api.Dataset) { d.Revision = 4 }), wrong: true},
		"an older epoch":      {next: detail(func(d *api.Dataset) { d.Epoch = 1 }), wrong: true},
		"nothing any more":    {wrong: true},
		"nothing and back":    {next: detail(nil)},
		"one more, as before": {next: append(detail(nil), &api.DatasetDetail{Dataset: &api.Dataset{ID: "e"}})},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shown{}
			if got := s.take("r", detail(nil)); len(got) != 0 {
				t.Errorf("the first page: got %q", got)
			}
			if got := s.take("r", c.next); len(got) > 0 != c.wrong {
				t.Errorf("got %q", got)
			}
		})
	}
}

func testShape() shape {
	return shape{
		hosts: map[class][]string{
			consuls: {"consul1", "consul2", "consul3"}, controls: {"control", "control2", "control3"}, nodes: {"node1", "node2", "node3", "node4"},
		},
		points: map[class][]string{controls: {"control.x"}, nodes: {"agent.x", "agent.y"}},
	}
}

func TestPlanIsTheSeeds(t *testing.T) {
	const length = 10 * time.Minute
	plan := makePlan(7, length, testShape())
	if again := makePlan(7, length, testShape()); !slices.EqualFunc(plan, again, same) {
		t.Error("the same seed gave another plan")
	}
	if other := makePlan(8, length, testShape()); slices.EqualFunc(plan, other, same) {
		t.Error("another seed gave the same plan")
	}
	kinds := map[kind]bool{}
	for _, e := range plan {
		kinds[e.Kind] = true
	}
	for _, f := range faults {
		if !kinds[f.kind] {
			t.Errorf("there is no %s in %s", f.kind, length)
		}
	}
}

func same(x, y event) bool { return x.String() == y.String() }

func TestNoHostHasTwoFaultsAtOnce(t *testing.T) {
	s := testShape()
	for seed := range uint64(20) {
		free := map[string]time.Duration{}
		for _, e := range makePlan(seed, 10*time.Minute, s) {
			hosts := e.Hosts
			switch e.Kind {
			case consulDown, consulLeader:
				hosts = s.hosts[consuls]
			case allKilled:
				hosts = slices.Concat(s.hosts[consuls], s.hosts[controls], s.hosts[nodes])
			}
			if len(hosts) == 0 {
				t.Errorf("%s has no hosts", e)
			}
			for _, h := range hosts {
				if e.At < free[h] {
					t.Errorf("seed %d: %s has a fault until %s, and then %s", seed, h, free[h], e)
				}
				free[h] = e.At + e.For
			}
		}
	}
}

func TestFaultPointsAreFoundInTheSources(t *testing.T) {
	points, err := faultPoints("../..", "control", "agent")
	if err != nil || !slices.Contains(points, "control.committed") || !slices.Contains(points, "agent.attached") ||
		slices.ContainsFunc(points, func(p string) bool { return strings.HasPrefix(p, "host.") || strings.HasPrefix(p, "store.") }) {
		t.Errorf("got %q, %v", points, err)
	}
}
