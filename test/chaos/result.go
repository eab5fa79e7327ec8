package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/watch"
)

// result is what a run did, and what was found.
type result struct {
	seed      uint64
	took      time.Duration
	lines     []string
	undecided int // groups of the history that could not be checked in time
	anomalies []string
}

// result checks the history and sums up.
func (r *run) result(took time.Duration, looks watch.Looks) *result {
	res := &result{seed: r.seed, took: took}
	say := func(format string, args ...any) { res.lines = append(res.lines, fmt.Sprintf(format, args...)) }

	total := 0
	for _, n := range r.nemesis.counts {
		total += n
	}
	say("faults: %d", total)
	for _, k := range slices.Sorted(maps.Keys(r.nemesis.counts)) {
		say("  %s %d", k, r.nemesis.counts[k])
	}
	say("  programs that died at a fault point, or by themselves: %d", r.nemesis.deaths())

	calls, outcomes := r.users.history.summary()
	say("calls of users: %d, on %d datasets", calls, groupSize*len(r.users.pool.all))
	for _, line := range outcomes {
		say("  %s", line)
	}
	say("pages that readers of one replica compared: %d", r.read)
	say("consumers:")
	for _, what := range slices.Sorted(maps.Keys(r.consumers.counts)) {
		say("  %s %d", what, r.consumers.counts[what])
	}
	say("uses that were watched from outside: %d", looks.Uses)
	say("watched: %d moves of images (%d attachments), %d looks at devices and mounts, %d at the log",
		looks.Moves, looks.Attaches, looks.Devices, looks.Records)

	groups, undecided, found := r.users.history.check(r.dir)
	say("histories that were checked: %d; undecided: %d", groups-undecided, undecided)
	res.undecided = undecided
	res.anomalies = slices.Concat(r.anomalies, found)
	return res
}

// print tells what a run did.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "seed %d, %s\n%s\n", r.seed, r.took.Round(time.Second), strings.Join(r.lines, "\n"))
	fmt.Fprintf(w, "anomalies: %d\n", len(r.anomalies))
	for _, a := range r.anomalies {
		fmt.Fprintf(w, "  %s\n", a)
	}
}

// keepLogs copies what all programs have printed.
func keepLogs(c *cluster.Cluster, dir string) error {
	files, err := filepath.Glob(filepath.Join(c.Lab.Dir, "hosts", "*", "log", "*.log"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keep logs: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("keep logs: %w", err)
		}
		host := filepath.Base(filepath.Dir(filepath.Dir(file)))
		if err := os.WriteFile(filepath.Join(dir, host+"-"+filepath.Base(file)), data, fs.FileMode(0o644)); err != nil {
			return fmt.Errorf("keep logs: %w", err)
		}
	}
	return nil
}
