package clients

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// What all tests use, made once.
var (
	programs   *lab.Programs
	kubernetes string // the program with Kubernetes' client
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flocker-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	if kubernetes, err = buildKubernetesClient(ctx, dir); err == nil {
		programs, err = lab.Build(ctx, lab.Plain, cluster.Packages...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
