package ha

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// programs are built once for all tests.
var programs *lab.Programs

func TestMain(m *testing.M) {
	var err error
	if programs, err = lab.Build(context.Background(), lab.Faulty, cluster.Packages...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
