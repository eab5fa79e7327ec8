// Demo tells on this machine what Flocker does for Mesos: it builds the
// programs, makes a control service and two nodes out of namespaces, plays
// Mesos for the examples, and checks at each step that all is as it must be.
// It needs root and Go, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// patience bounds the whole demo.
const patience = 3 * time.Minute

func main() {
	limit := flag.Duration("wait-limit", 8*time.Second, "how long a task waits for a volume that another node uses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the demo takes too long"))
	ok, err := run(ctx, *limit)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run tells the story and reports whether all was as it must be. Nothing of
// it is left afterwards, except logs where something was not.
func run(ctx context.Context, limit time.Duration) (ok bool, err error) {
	t := newTimeline(os.Stdout, colourful(os.Stdout))
	t.chapter("Two nodes, a control service and a shared directory as their SAN")
	programs, err := lab.Build(ctx, lab.Plain, cluster.Packages...)
	if err != nil {
		return false, err
	}
	t.start = time.Now() // of the story; how long a build takes says nothing
	t.event("", "built %s and %s, both static", size(programs, "flocker"), size(programs, "flocker-isolator"))
	s := &story{t: t, limit: limit}
	c, err := cluster.New(ctx, cluster.Options{Programs: programs, WaitLimit: limit, Observe: s.observe,
		Control: map[string]string{"heartbeat": heartbeat.String(), "marathon": cluster.MarathonURL}})
	if err != nil {
		return false, err
	}
	s.c = c
	if s.marathon, err = c.AddMarathon(ctx); err != nil {
		return false, errors.Join(err, c.Close())
	}
	told := errors.Join(s.tell(ctx), s.marathon.Close())
	if told != nil {
		t.check("", false, "the story ends early: %v", told)
	}
	kept := ""
	if told != nil || len(t.failures) > 0 {
		kept, err = keepLogs(c)
	}
	dir := c.Lab.Dir
	err = errors.Join(err, c.Close())
	t.check("", err == nil && absent(dir), "the machines are gone, and with them every process, mount and file")
	ok = t.verdict()
	if kept != "" {
		fmt.Printf("The logs of all programs and tasks are in %s\n", kept)
	}
	if ok {
		fmt.Print(farewell)
	}
	return ok, err
}

const farewell = `
Look further: examples/ has the apps, test/demo the story itself, docs/architecture.md how it works;
"flocker dev" runs a cluster on this machine and prints the flags for a real Mesos agent.
`

// colourful reports whether a person looks at a file in colour.
func colourful(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func size(p *lab.Programs, name string) string {
	info, err := os.Stat(filepath.Join(p.Dir, name))
	if err != nil {
		return name
	}
	return fmt.Sprintf("%s (%.1f MB)", name, float64(info.Size())/1e6)
}

func absent(dir string) bool {
	loops, err := lab.Loops(dir)
	_, statErr := os.Stat(dir)
	return err == nil && len(loops) == 0 && errors.Is(statErr, os.ErrNotExist)
}

// keepLogs copies the logs of all machines, and what the tasks printed, to a
// directory that stays.
func keepLogs(c *cluster.Cluster) (string, error) {
	to, err := os.MkdirTemp("", "flocker-demo-")
	if err != nil {
		return "", err
	}
	for _, h := range c.Lab.Hosts() {
		for _, pattern := range []string{
			filepath.Join(h.Dir, "log", "*.log"),
			h.Path("/var/lib/mesos/slaves/*/frameworks/*/executors/*/runs/*/std*"),
			h.Path("/var/lib/mesos/slaves/*/frameworks/*/executors/*/runs/*/containers/*/std*"),
		} {
			files, err := filepath.Glob(pattern)
			if err != nil {
				return "", err
			}
			for i, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					return "", err
				}
				name := fmt.Sprintf("%s-%d-%s", h.Name, i, filepath.Base(file))
				if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
					return "", err
				}
			}
		}
	}
	return to, nil
}
