package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// cloud is a storage system that knows machines. It notes what was asked of it.
type cloud struct {
	backend.Backend

	attached string // to which instance its one volume is
	running  bool
	doubt    bool // whether it runs
	sealed   uint64
	calls    []string
	fail     map[string]error
}

func (c *cloud) note(call string) error {
	c.calls = append(c.calls, call)
	return c.fail[call]
}

func (c *cloud) Properties() backend.Properties { return backend.Properties{Name: "cloud"} }

func (c *cloud) List(context.Context, ...string) ([]backend.Volume, error) {
	if c.attached == "none" {
		return nil, nil
	}
	return []backend.Volume{{ID: "vol", DatasetID: "d", AttachedTo: c.attached}}, nil
}

func (c *cloud) CanWrite(context.Context, string, string) (verdict backend.Verdict, evidence string, err error) {
	verdict = backend.CannotWrite
	switch {
	case c.attached != "i-lost":
	case c.running:
		verdict = backend.Writes
	case c.doubt:
		verdict = backend.MayWrite
	}
	return verdict, "the cloud says so", c.fail["look"]
}

func (c *cloud) Detach(_ context.Context, _, instance string, mode backend.DetachMode) error {
	if mode != backend.DetachForced || instance != "i-lost" {
		return errors.New("not like this")
	}
	err := c.note("detach")
	if err == nil {
		c.attached = ""
	}
	return err
}

func (c *cloud) StopInstance(context.Context, string) error {
	c.running = false
	return c.note("stop")
}

func (c *cloud) AttachUnder(context.Context, string, string, uint64) error { return nil }

func (c *cloud) Seal(_ context.Context, _ string, epoch uint64) error {
	c.sealed = epoch
	return c.note("seal")
}

// plain is a backend without any of the abilities.
type plain struct{ backend.Backend }

func (p plain) List(context.Context, ...string) ([]backend.Volume, error) {
	return []backend.Volume{{ID: "vol", DatasetID: "d", AttachedTo: "i-lost"}}, nil
}

func (plain) Properties() backend.Properties { return backend.Properties{Name: "plain"} }

func fenced(policy api.FencePolicy, vouched bool) *api.Dataset {
	return &api.Dataset{ID: "d", Epoch: 4, Holder: &api.Holder{Node: "lost", Epoch: 4},
		Fence: &api.Fence{Node: "here", Holder: "lost", Instance: "i-lost", Epoch: 4, Policy: policy, Vouched: vouched}}
}

// forced is a fence by an operator who insists.
func forced() *api.Dataset {
	d := fenced(api.FenceWait, true)
	d.Fence.Forced = true
	return d
}

func TestTenureIsOnlyEndedWithEvidenceOrByPolicy(t *testing.T) {
	silent := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		name    string
		backend backend.Backend
		stopper bool
		record  *api.Dataset
		held    string // in the finding, "" where it may be ended
	}{
		{"the machine is off", &cloud{attached: "i-lost"}, false, fenced(api.FenceWait, false), ""},
		{"the machine runs", &cloud{attached: "i-lost", running: true}, false, fenced(api.FenceWait, false), "the cloud says so"},
		{"the machine runs, and an operator says it is off", &cloud{attached: "i-lost", running: true}, false, fenced(api.FenceWait, true), "nodes lost --force"},
		{"the machine runs, and an operator insists", &cloud{attached: "i-lost", running: true}, false, forced(), ""},
		{"the machine may run, and an operator says it is off", &cloud{attached: "i-lost", doubt: true}, false, fenced(api.FenceWait, true), ""},
		{"the machine may run", &cloud{attached: "i-lost", doubt: true}, false, fenced(api.FenceWait, false), "the cloud says so"},
		{"the storage cannot tell, and an operator says it is off", plain{}, false, fenced(api.FenceWait, true), ""},
		{"the machine runs, and may be cut", &cloud{attached: "i-lost", running: true}, false, fenced(api.FenceForce, false), ""},
		{"the machine runs, and may be stopped", &cloud{attached: "i-lost", running: true}, true, fenced(api.FenceStop, false), ""},
		{"the machine runs, may be stopped, and an operator says it is off", &cloud{attached: "i-lost", running: true}, true, fenced(api.FenceStop, true), ""},
		{"the machine runs, and nothing can stop it", &cloud{attached: "i-lost", running: true}, false, fenced(api.FenceStop, false), "stop-command"},
		{"the machine runs without the volume", &cloud{running: true}, false, fenced(api.FenceWait, false), ""},
		{"there is no volume", &cloud{attached: "none"}, false, fenced(api.FenceWait, false), ""},
		{"nobody can tell", plain{}, false, fenced(api.FenceWait, false), "cannot tell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stepper{log: silent, backend: c.backend}
			if c.stopper {
				s.stopper, _ = c.backend.(backend.Stopper)
			}
			err := s.mayFence(t.Context(), c.record)
			held, ok := errors.AsType[*heldBackError](err)
			switch {
			case c.held == "" && err != nil:
				t.Errorf("got %v, want nothing in the way", err)
			case c.held != "" && (!ok || !strings.Contains(held.finding, c.held)):
				t.Errorf("got %v, want it held back by %q", err, c.held)
			}
		})
	}
}

func TestWhatCannotBeLookedAtEndsNothing(t *testing.T) {
	c := &cloud{attached: "i-lost", fail: map[string]error{"look": backend.ErrThrottled}}
	err := (&stepper{backend: c}).mayFence(t.Context(), fenced(api.FenceWait, false))
	if !errors.Is(err, backend.ErrThrottled) {
		t.Errorf("got %v, want %v", err, backend.ErrThrottled)
	}
}

func TestCuttingOffStopsDetachesAndSealsInThisOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		cloud  cloud
		record *api.Dataset
		want   string
	}{
		{"off", cloud{attached: "i-lost"}, fenced(api.FenceWait, false), "detach seal"},
		{"running, to be stopped", cloud{attached: "i-lost", running: true}, fenced(api.FenceStop, false), "stop detach seal"},
		{"running, to be stopped, and said to be off", cloud{attached: "i-lost", running: true}, fenced(api.FenceStop, true), "stop detach seal"},
		{"in doubt, and said to be off", cloud{attached: "i-lost", doubt: true}, fenced(api.FenceStop, true), "detach seal"},
		{"off, to be stopped", cloud{attached: "i-lost"}, fenced(api.FenceStop, false), "detach seal"},
		{"running, to be cut", cloud{attached: "i-lost", running: true}, fenced(api.FenceForce, false), "detach seal"},
		{"not attached", cloud{}, fenced(api.FenceWait, false), "seal"},
		{"attached to a third machine", cloud{attached: "i-other"}, fenced(api.FenceWait, false), "seal"},
		{"no volume", cloud{attached: "none"}, fenced(api.FenceWait, false), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stepper{log: slog.New(slog.DiscardHandler), backend: &c.cloud, stopper: &c.cloud}
			if err := s.cutOff(t.Context(), c.record); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.cloud.calls, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want != "" && c.cloud.sealed != 5 {
				t.Errorf("sealed for epoch %d, want 5", c.cloud.sealed)
			}
		})
	}
}

func TestNothingFollowsOnAFailureToCutOff(t *testing.T) {
	broken := errors.New("the cloud is down")
	for call, want := range map[string]string{"stop": "stop", "detach": "stop detach", "seal": "stop detach seal"} {
		c := &cloud{attached: "i-lost", running: true, fail: map[string]error{call: broken}}
		s := &stepper{log: slog.New(slog.DiscardHandler), backend: c, stopper: c}
		if err := s.cutOff(t.Context(), fenced(api.FenceStop, false)); !errors.Is(err, broken) {
			t.Errorf("%s fails: got %v, want %v", call, err, broken)
		}
		if got := strings.Join(c.calls, " "); got != want {
			t.Errorf("%s fails: got the calls %q, want %q", call, got, want)
		}
	}
}
