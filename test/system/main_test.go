package system

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	flag.Parse()
	// Much of the time of these tests is waited, for Mesos or for a limit.
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set(strconv.Itoa(3 * runtime.GOMAXPROCS(0)))
	}
	code := m.Run()
	// A thousand volumes leave a thousand devices behind.
	if err := lab.TrimLoops(64); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
