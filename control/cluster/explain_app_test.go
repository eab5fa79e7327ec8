package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestANewAppWithAMistakeIsNotSaidToHaveVolumesFromBefore(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fresh := &api.App{ID: "/new", Mistake: "flocker.volume.data.sise: did you mean size?"}
	if got := cluster.ExplainApp(fresh, now); !strings.Contains(got, "no volume of it is known") || strings.Contains(got, "before") {
		t.Errorf("got %q, want that no volume is known", got)
	}
	fresh.Volumes = []api.AppVolume{{Key: "data", Name: "db"}}
	if got := cluster.ExplainApp(fresh, now); !strings.Contains(got, "only these volumes of it are known") || strings.Contains(got, "before") {
		t.Errorf("got %q, want that these are known", got)
	}
}
