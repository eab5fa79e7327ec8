package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// decide applies a command and puts what it changes.
func decide(t *testing.T, s *cluster.State, cmd cluster.Command) (*cluster.State, error) {
	t.Helper()
	out, err := cmd.Apply(s)
	if err != nil {
		return s, err
	}
	next := s.Clone()
	for _, c := range out.Changes {
		value, err := cluster.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := next.PutStored(c.Key, value); err != nil {
			t.Fatal(err)
		}
	}
	next.SetRevision(s.Revision() + 1)
	return next, nil
}

func TestAttemptThatComesTooLateChangesNothing(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	attempt := func(n int) cluster.Attempt { return cluster.Attempt{Request: "r", Number: n} }
	once := func(n int) cluster.Command {
		return cluster.Once{Attempt: attempt(n), Command: cluster.AcquireLease{At: at, Dataset: "d", Node: "n"}}
	}
	s, err := decide(t, cluster.New(), cluster.Bar{At: at, Attempt: attempt(2)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := once(1).Apply(s); api.CodeOf(err) != api.CodeStale {
		t.Errorf("the first attempt after the second: got %v", err)
	}
	if s, err = decide(t, s, once(2)); err != nil || s.Lease("d") == nil {
		t.Errorf("the second attempt: got %v", err)
	}
	if s, err = decide(t, s, cluster.Bar{At: at, Attempt: attempt(4)}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		if _, err := once(n).Apply(s); api.CodeOf(err) != api.CodeStale {
			t.Errorf("attempt %d after the fourth: got %v", n, err)
		}
		if _, err := (cluster.Bar{At: at, Attempt: attempt(n)}).Apply(s); api.CodeOf(err) != api.CodeStale {
			t.Errorf("attempt %d bars the fourth: got %v", n, err)
		}
	}
	if _, err := (cluster.Once{Attempt: cluster.Attempt{Request: "another", Number: 1}, Command: cluster.ReleaseLease{At: at, Dataset: "d"}}).Apply(s); err != nil {
		t.Errorf("another request: got %v", err)
	}
	if _, err := (cluster.Bar{At: at, Attempt: cluster.Attempt{Number: 2}}).Apply(s); api.CodeOf(err) != api.CodeInvalid {
		t.Errorf("no name: got %v", err)
	}
}

func TestBarredRequestsAreForgottenInTime(t *testing.T) {
	const many = 300
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s := cluster.New()
	first := func(i int) cluster.Command {
		return cluster.Once{Attempt: cluster.Attempt{Request: fmt.Sprint(i), Number: 1}, Command: cluster.AcquireLease{At: at, Dataset: "d", Node: "n"}}
	}
	bar := func(i int, at time.Time) cluster.Command {
		return cluster.Bar{At: at, Attempt: cluster.Attempt{Request: fmt.Sprint(i), Number: 2}}
	}
	var err error
	for i := range many {
		if s, err = decide(t, s, bar(i, at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first(many - 256).Apply(s); err == nil {
		t.Error("one of the newest 256 is forgotten")
	}
	if _, err := first(many - 257).Apply(s); err != nil {
		t.Errorf("one before the newest 256 is kept: %v", err)
	}
	if s, err = decide(t, s, bar(many, at.Add(2*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := first(many - 1).Apply(s); err != nil {
		t.Errorf("one of hours ago is kept: %v", err)
	}
}
