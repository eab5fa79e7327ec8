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

		where zones
	}{
		{"a backend that can no more than it must", Deps{Backend: plainBackend{}}, []string{api.CapabilityTrim}, zones{}},
		{"loopback", Deps{Backend: (*loopback.Backend)(nil)}, []string{api.CapabilityGrow, api.CapabilityWitness, api.CapabilityGuard, api.CapabilityTrim}, zones{}},
		{"a backend that grows volumes", Deps{Backend: growing{}}, []string{api.CapabilityGrow, api.CapabilityTrim}, zones{}},
		{"a backend that stops machines", Deps{Backend: stopping{}}, []string{api.CapabilityStop, api.CapabilityTrim}, zones{}},
		{"a program that stops machines", Deps{Backend: plainBackend{}, Stopper: stopping{}}, []string{api.CapabilityStop, api.CapabilityTrim}, zones{}},
		{"a backend whose volumes are bound to zones", Deps{Backend: plainBackend{}}, []string{api.CapabilityTrim, api.CapabilityZones}, zones{here: "a", binds: true}},
		{"a machine whose zone is known, and a backend without zones", Deps{Backend: plainBackend{}}, []string{api.CapabilityTrim}, zones{here: "a"}},
	} {
		if got := c.deps.capabilities(c.where); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
