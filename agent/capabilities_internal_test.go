package agent

import (
	"context"
	"slices"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

type plainBackend struct{ backend.Backend }

type stopping struct{ plainBackend }

func (stopping) StopInstance(context.Context, string) error { return nil }

func TestAgentTellsWhatItCanHaveDone(t *testing.T) {
	for _, c := range []struct {
		name string
		deps Deps
		want []string
	}{
		{"a backend that can no more than it must", Deps{Backend: plainBackend{}}, nil},
		{"loopback", Deps{Backend: (*loopback.Backend)(nil)}, []string{api.CapabilityGrow, api.CapabilityWitness, api.CapabilityGuard}},
		{"a backend that grows volumes", Deps{Backend: growing{}}, []string{api.CapabilityGrow}},
		{"a backend that stops machines", Deps{Backend: stopping{}}, []string{api.CapabilityStop}},
		{"a program that stops machines", Deps{Backend: plainBackend{}, Stopper: stopping{}}, []string{api.CapabilityStop}},
	} {
		if got := c.deps.capabilities(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
