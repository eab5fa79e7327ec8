// Chaos runs a whole cluster, three control services over three Consul servers
// and four nodes, under faults that a seed decides on, and checks that no
// acknowledged write is lost, that no two nodes ever hold one dataset, that no
// consumer loses what it wrote, and that everything comes to rest at the end.
// See docs/reliability.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errAnomalies is returned for a run that found some.
var errAnomalies = errors.New("there are anomalies")

func command(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	length := flags.Duration("duration", 5*time.Minute, "how long faults happen")
	seed := flags.Uint64("seed", 0, "of the plan; 0 for a new one")
	dir := flags.String("dir", "", "where histories and logs go if there are anomalies; by default a new directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if *dir == "" {
		*dir = filepath.Join(os.TempDir(), fmt.Sprintf("flocker-chaos-%d", *seed))
	}
	programs, err := lab.Build(ctx, lab.Faulty, cluster.Packages...)
	if err != nil {
		return err
	}
	fmt.Printf("seed %d\n", *seed)
	result, err := play(ctx, options{
		seed: *seed, length: *length, programs: programs, root: root, dir: *dir,
		logf: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	})
	if err != nil {
		return err
	}
	result.print(os.Stdout)
	if len(result.anomalies) > 0 {
		return fmt.Errorf("%w; logs and histories are in %s", errAnomalies, *dir)
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
