package main

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

var (
	testLength = flag.Duration("chaos.duration", 40*time.Second, "how long faults happen")
	testSeed   = flag.Uint64("chaos.seed", 0, "of the plan; 0 for a new one")
)

// TestClusterUnderFaults is a short run with a new seed each time; make chaos
// runs longer ones.
func TestClusterUnderFaults(t *testing.T) {
	programs, err := lab.Build(t.Context(), lab.Faulty, cluster.Packages...)
	if err != nil {
		t.Fatal(err)
	}
	seed := *testSeed
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	t.Logf("play it again with -chaos.seed %d", seed)
	result, err := play(t.Context(), options{
		seed: seed, length: *testLength, programs: programs, root: "../..", dir: t.ArtifactDir(), logf: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	result.print(t.Output())
	if len(result.anomalies) > 0 {
		t.Errorf("%d anomalies", len(result.anomalies))
	}
	if result.undecided > 0 {
		t.Errorf("%d histories could not be checked in time", result.undecided)
	}
}
