package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// story is what the demo tells.
type story struct {
	t        *timeline
	c        *cluster.Cluster
	marathon *cluster.Marathon
	limit    time.Duration

	orders *marathon.App
	search *marathon.App
	queue  *marathon.Pod

	ordersRun *mesos.Run // the one that has the volume
	searchRun *mesos.Run
	at        *cluster.Node // where they are
}

func (s *story) tell(ctx context.Context) error {
	if err := s.read("examples"); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{
		s.start, s.firstLaunch, s.move, s.share, s.wait, s.giveUp, s.crash, s.die, s.brokers, s.end,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) read(dir string) (err error) {
	if s.orders, err = marathon.ReadApp(filepath.Join(dir, "orders-db.json")); err != nil {
		return err
	}
	if s.search, err = marathon.ReadApp(filepath.Join(dir, "search.json")); err != nil {
		return err
	}
	s.queue, err = marathon.ReadPod(filepath.Join(dir, "queue-pod.json"))
	return err
}

func (s *story) node(i int) *cluster.Node { return s.c.Nodes[i-1] }

func (s *story) start(ctx context.Context) error {
	s.t.event("control", "made an authority and certificates for the service, two nodes and a user")
	if err := s.c.Start(ctx); err != nil {
		return err
	}
	for _, n := range s.c.Nodes {
		status, err := n.Status(ctx)
		if err != nil {
			return err
		}
		s.t.check(n.Name, status.Connected, "agent %.8s is %s", n.ID, status.Control)
	}
	return nil
}

func (s *story) firstLaunch(ctx context.Context) error {
	s.t.chapter("An app with a label finds its volume where it starts")
	s.at = s.node(1)
	var err error
	if s.ordersRun, err = s.launch(ctx, s.at, s.orders, "0 records verified", "wrote: order 1, taken on node1"); err != nil {
		return err
	}
	s.searchRun, err = s.launch(ctx, s.at, s.search, "start 1, on two volumes")
	return err
}

// launch starts an app on a node, waits until it is ready, and checks that it
// printed some lines.
func (s *story) launch(ctx context.Context, n *cluster.Node, app *marathon.App, lines ...string) (*mesos.Run, error) {
	s.t.event(n.Name, "Mesos launches %s %s", app.ID, volumesOf(app.Labels))
	begun := time.Now()
	r, err := n.Mesos.Launch(app.Task())
	if err != nil {
		return nil, err
	}
	return r, s.ready(ctx, n, app.ID, r, begun, lines...)
}

// ready waits until a launched task is ready.
func (s *story) ready(ctx context.Context, n *cluster.Node, id string, r *mesos.Run, begun time.Time, lines ...string) error {
	if err := await(ctx, r, "ready"); err != nil {
		return err
	}
	took := time.Since(begun)
	s.t.event(n.Name, "%s is ready, %s after its launch", id, ms(took))
	for line := range strings.Lines(printed(r)) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(lines, line) {
			s.t.says(n.Name, line)
		} else {
			s.t.check(n.Name, true, "%s", line)
		}
	}
	for _, line := range lines {
		if !r.Printed(line) {
			s.t.check(n.Name, false, "it should say %q", line)
		}
	}
	return nil
}

// observe tells of a call of flocker-isolator that took more than its answer:
// the two of a container that has volumes.
func (s *story) observe(node string) func(mesos.Call) {
	return func(call mesos.Call) {
		if call.Command == "isolate" {
			return
		}
		if call.Err != nil {
			s.t.event(node, "%s: %v", call.Command, call.Err)
			return
		}
		s.t.event(node, "%s of %s answered Mesos in %s", call.Command, shortTask(call.Task), ms(call.Took))
	}
}

// shortTask leaves Marathon's instance id out.
func shortTask(id string) string {
	if id == "" {
		return "the executor"
	}
	app, rest, _ := strings.Cut(id, ".instance-")
	if dot := strings.LastIndexByte(rest, '.'); dot > 0 && !strings.Contains(rest, "._app") {
		app += rest[dot:]
	}
	return "/" + strings.ReplaceAll(app, "_", "/")
}

// finish ends a task as Marathon does and waits for its last status, which
// comes about a second before its cleanup.
func (s *story) finish(ctx context.Context, n *cluster.Node, r *mesos.Run) error {
	r.Kill()
	u, err := r.Ended(ctx)
	if err != nil {
		return err
	}
	s.t.check(n.Name, u.State == mesos.StateKilled && r.Printed("shut down"), "%s has shut down (%s)", r.Task.Name, u.State)
	return nil
}

func (s *story) move(ctx context.Context) error {
	s.t.chapter("It ends here, starts there, and finds what it wrote")
	from, to := s.node(1), s.node(2)
	if err := errors.Join(s.finish(ctx, from, s.ordersRun), s.finish(ctx, from, s.searchRun)); err != nil {
		return err
	}
	s.t.event("", "Marathon starts the next tasks at once; Mesos cleans the last ones up a second later")
	var err error
	if s.ordersRun, err = s.launch(ctx, to, s.orders, "1 records verified", "wrote: order 2, taken on node2"); err != nil {
		return err
	}
	if s.searchRun, err = s.launch(ctx, to, s.search, "start 2, on two volumes"); err != nil {
		return err
	}
	s.at = to
	return nil
}

func (s *story) wait(ctx context.Context) error {
	s.t.chapter("In use on another node: the task waits, and says so")
	n := s.node(1)
	s.t.event(n.Name, "Mesos launches %s while %s still runs it", s.orders.ID, s.at.Name)
	begun := time.Now()
	r, err := n.Mesos.Launch(s.orders.Task())
	if err != nil {
		return err
	}
	words, err := s.awaitWaiting(ctx, n, r)
	if err != nil {
		return err
	}
	s.t.says(n.Name, words)
	s.t.check(n.Name, strings.Contains(words, s.at.Name) && sinceWhen.MatchString(words),
		"the task's own log says who has it, and since when")
	if err := s.finish(ctx, s.at, s.ordersRun); err != nil {
		return err
	}
	if err := s.ready(ctx, n, s.orders.ID, r, begun, "2 records verified", "wrote: order 3, taken on node1"); err != nil {
		return err
	}
	s.ordersRun, s.at = r, n
	return nil
}

// sinceWhen finds a moment in a sentence.
var sinceWhen = regexp.MustCompile(`since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`)

// awaitWaiting waits until a task says that it waits for another node, and
// returns its words.
func (s *story) awaitWaiting(ctx context.Context, n *cluster.Node, r *mesos.Run) (string, error) {
	var words string
	err := lab.Until(ctx, "the task on "+n.Name+" says that it waits", func() error {
		for line := range strings.Lines(r.Stderr()) {
			if strings.Contains(line, s.at.Name) {
				words = strings.TrimSpace(line)
				return nil
			}
		}
		return fmt.Errorf("it is %s and says %q", r.Last().State, r.Stderr())
	})
	return words, err
}

func (s *story) giveUp(ctx context.Context) error {
	s.t.chapter(fmt.Sprintf("Nobody lets go: it gives up after %s, and steals nothing", s.limit))
	n := s.node(2)
	s.t.event(n.Name, "Mesos launches %s while %s runs it", s.orders.ID, s.at.Name)
	begun := time.Now()
	r, err := n.Mesos.Launch(s.orders.Task())
	if err != nil {
		return err
	}
	words, err := s.awaitWaiting(ctx, n, r)
	if err != nil {
		return err
	}
	u, err := r.Ended(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	said := lastWords(r.Stderr())
	s.t.event(n.Name, "%s: %s", u.State, u.Message)
	s.t.says(n.Name, said)
	s.t.check(n.Name, u.State == mesos.StateFailed && took > s.limit && took < s.limit+3*time.Second,
		"it gave up after %s", ms(took))
	s.t.check(n.Name, strings.Contains(words, s.at.Name) && strings.Contains(said, holderIn(words)),
		"in the words in which it waited")
	s.t.check(s.at.Name, s.ordersRun.Last().State == mesos.StateRunning, "%s was not disturbed", s.orders.ID)
	return r.AwaitGone(ctx)
}

// holderIn returns the part of a waiting sentence that says who has the volume
// since when.
func holderIn(words string) string {
	end := sinceWhen.FindStringIndex(words)
	if end == nil {
		return words
	}
	start := strings.LastIndex(words[:end[0]], "held")
	if start < 0 {
		start = end[0]
	}
	return words[start:end[1]]
}

func (s *story) share(ctx context.Context) error {
	s.t.chapter("A pod: two containers share one volume, one of them only reads")
	n := s.node(2)
	s.t.event(n.Name, "Mesos launches the pod %s", s.queue.ID)
	begun := time.Now()
	g, err := n.Mesos.LaunchGroup(s.queue.Group())
	if err != nil {
		return err
	}
	writer, reader := g.Runs[0], g.Runs[1]
	if err := s.ready(ctx, n, "the writer", writer, begun); err != nil {
		return err
	}
	if err := s.ready(ctx, n, "the reader", reader, begun, "message of node2"); err != nil {
		return err
	}
	g.Kill()
	select {
	case <-g.Gone():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *story) crash(ctx context.Context) error {
	s.t.chapter("kill -9 of the agent while it attaches a volume")
	n := s.node(2)
	staging := *s.orders
	staging.ID = "/staging/orders-db" // another app: its volume is yet to be made
	s.t.event(n.Name, "Mesos launches %s", staging.ID)
	begun := time.Now()
	r, err := n.Mesos.Launch(staging.Task())
	if err != nil {
		return err
	}
	if err := awaitAttach(ctx, s.c, n); err != nil {
		return err
	}
	n.Agent.Kill()
	s.t.event(n.Name, "the agent is dead; %s", found(s.c, n))
	if err := n.Start(ctx); err != nil {
		return err
	}
	s.t.event(n.Name, "the agent is started again; the task waits on")
	if err := s.ready(ctx, n, staging.ID, r, begun, "0 records verified"); err != nil {
		return err
	}
	loops, err := lab.Loops(s.c.Lab.SAN)
	if err != nil {
		return err
	}
	images := map[string]bool{}
	for _, l := range loops {
		images[filepath.Base(l.Backing)] = true
	}
	s.t.check("", len(images) == len(loops), "no volume is attached twice: %d devices for %d volumes", len(loops), len(images))
	if err := s.finish(ctx, n, r); err != nil {
		return err
	}
	return r.AwaitGone(ctx)
}

// heartbeat makes the demo short: a node is lost after three of them, and the
// default of 5 s would have people wait.
const heartbeat = time.Second

func (s *story) die(ctx context.Context) error {
	s.t.chapter("The machine of the database loses its power")
	dead, other := s.at, s.node(2)
	cut := time.Now()
	if err := dead.PowerOff(); err != nil {
		return err
	}
	s.t.event(dead.Name, "the power is cut while %s writes", s.orders.ID)
	run, err := s.launch(ctx, other, s.orders, "3 records verified", "wrote: order 4, taken on node2")
	if err != nil {
		return err
	}
	s.t.check("", true, "the volume was taken over %s after the cut: three heartbeats of %s to be sure, and the rest", ms(time.Since(cut)), heartbeat)
	table, err := s.c.Control.Flocker(ctx, "nodes", "list")
	if err != nil {
		return err
	}
	s.t.event("control", "flocker nodes list")
	s.t.says("control", table)
	dead.Mesos.Kill()
	if err := errors.Join(dead.PowerOn(ctx), dead.Mesos.Restart(), dead.Start(ctx)); err != nil {
		return err
	}
	if err := dead.AwaitConnected(ctx); err != nil {
		return err
	}
	s.t.check(dead.Name, run.Last().State == mesos.StateRunning, "it is back, and disturbs nobody")
	s.ordersRun, s.at = run, other
	return nil
}

// awaitAttach returns as soon as a volume that was not there before shows up
// among the attached ones of a node.
func awaitAttach(ctx context.Context, c *cluster.Cluster, n *cluster.Node) error {
	pattern := filepath.Join(c.Lab.SAN, "attached", n.Instance, "*")
	before, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		now, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if len(now) > len(before) {
			return nil
		}
	}
	return context.Cause(ctx)
}

// found says how far the volumes of a node have come.
func found(c *cluster.Cluster, n *cluster.Node) string {
	mounts, err := n.Mounts()
	if err != nil {
		return err.Error()
	}
	loops, err := lab.Loops(filepath.Join(c.Lab.SAN, "attached", n.Instance))
	if err != nil {
		return err.Error()
	}
	var unmounted []string
	for _, l := range loops {
		if !strings.Contains(strings.Join(mounts, "\n"), " "+l.Device+" ") {
			unmounted = append(unmounted, l.Device)
		}
	}
	if len(unmounted) > 0 {
		return "the volume is attached as " + strings.Join(unmounted, ", ") + " and not yet mounted"
	}
	return "the volume is claimed and not yet attached, or mounted already"
}

func (s *story) end(ctx context.Context) error {
	s.t.chapter("All apps end")
	if err := errors.Join(s.finish(ctx, s.at, s.ordersRun), s.finish(ctx, s.node(2), s.searchRun)); err != nil {
		return err
	}
	if err := errors.Join(s.ordersRun.AwaitGone(ctx), s.searchRun.AwaitGone(ctx)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := s.c.AwaitIdle(ctx)
	if err != nil {
		return err
	}
	s.t.check("", true, "no loop device, no mount, no attached volume and no consumer is left")
	table, err := s.c.Control.Flocker(ctx, "volumes", "list")
	if err != nil {
		return err
	}
	s.t.event("control", "flocker volumes list")
	s.t.says("control", table)
	complaints, err := s.c.Complaints()
	s.t.check("", len(complaints) == 0, "%d data races or panics in the logs", len(complaints))
	return err
}

// await waits until a task has printed a line. One that has failed will not.
func await(ctx context.Context, r *mesos.Run, line string) error {
	var failed error
	err := lab.Until(ctx, fmt.Sprintf("task %s says %q", r.Task.ID, line), func() error {
		u := r.Last()
		if r.Printed(line) {
			return nil
		}
		err := fmt.Errorf("task %s is %s (%s) and says %q %q", r.Task.ID, u.State, u.Message, r.Stdout(), r.Stderr())
		if u.State == mesos.StateFailed || u.State == mesos.StateKilled {
			failed = err
			return nil
		}
		return err
	})
	return errors.Join(err, failed)
}

// printed returns what a task printed before it was ready.
func printed(r *mesos.Run) string {
	before, _, _ := strings.Cut(r.Stdout(), "ready\n")
	return before
}

// lastWords returns the last line that Flocker wrote into a task's log.
func lastWords(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "flocker") {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// volumesOf renders the labels that ask for volumes.
func volumesOf(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, strings.TrimPrefix(key, "flocker.")+": "+labels[key])
	}
	return "(" + strings.Join(all, "; ") + ")"
}

func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
