package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// documented returns the plugin's file, and the agent's settings for it, as the
// manual has them.
func documented(t *testing.T) (mesos.CSIPlugin, map[string]string) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/csi.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		_, rest, _ := strings.Cut(string(manual), "```"+language+"\n")
		text, _, ok := strings.Cut(rest, "```")
		if !ok {
			t.Fatalf("docs/csi.md has no block of %s", language)
		}
		return text
	}
	var plugin mesos.CSIPlugin
	decoder := json.NewDecoder(strings.NewReader(block("json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&plugin); err != nil {
		t.Fatal(err)
	}
	key, value, _ := strings.Cut(strings.TrimSpace(block("yaml")), ": ")
	return plugin, map[string]string{key: value}
}

// withCSI adds the plugin to the machines of a world. Mesos gives up on a call
// after the deadline, 0 for its own.
func withCSI(t *testing.T, opts cluster.Options, deadline time.Duration) cluster.Options {
	t.Helper()
	plugin, settings := documented(t)
	plugin.Deadline = deadline
	opts.Mesos.CSI = []mesos.CSIPlugin{plugin}
	if opts.Agent == nil {
		opts.Agent = map[string]string{}
	}
	maps.Copy(opts.Agent, settings)
	return opts
}

// csiLedger is a ledger in a volume that it has by CSI.
func csiLedger(id, volume string) *mesos.Task {
	return &mesos.Task{ID: id, Command: ledgerCommand, CSI: []mesos.CSIVolume{{
		Plugin: "csi.flocker.mesos", ID: volume, ContainerPath: "data", AccessMode: "SINGLE_NODE_WRITER", Context: map[string]string{"size": "64MiB"},
	}}}
}

func TestExampleOfCSIRunsIsSharedAndMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withCSI(t, cluster.Options{}, 0))
	app, err := marathon.ReadApp("../../examples/ledger-csi.json")
	w.must(err)
	entries := 0
	start := func(n *cluster.Node) *mesos.Run {
		t.Helper()
		entries++
		r := w.launch(n, app.Task())
		w.says(r, "ready")
		if want := fmt.Sprintf("%d entries", entries); !r.Printed(want) {
			t.Errorf("it printed %q, want %q", r.Stdout(), want)
		}
		return r
	}
	for round := range 3 {
		n := w.Nodes[round%2]
		first := start(n)
		n.Agent.Kill()
		w.must(n.Start(w.ctx()))
		second := start(n)
		w.end(first)
		// Mesos has not taken the volume down: it is still the second one's.
		if err := w.mountedOn(w.dataset("shop-ledger-csi"), n); err != nil {
			t.Error(err)
		}
		third := start(n)
		w.end(second)
		w.end(third)
		w.idle()
	}
	detail := string(w.call("GET", "/v1/volumes/shop-ledger-csi", nil))
	if want := fmt.Sprintf(`"maximum_size":%d`, 5<<30); !strings.Contains(detail, want) {
		t.Errorf("the volume is %s, want %s", detail, want)
	}
}

func TestCSIVolumeInUseElsewhereIsExplainedToTheFramework(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withCSI(t, cluster.Options{}, 3*time.Second))
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, csiLedger("first", "db"))
	w.says(first, "ready")
	second := w.launch(two, csiLedger("second", "db"))
	u := w.ended(second)
	for _, want := range []string{"Failed to launch container: ABORTED: ", "is mounted on node1", "containers that have it through CSI", "stays wanted on this node until it is unstaged"} {
		if !strings.Contains(u.Message, want) {
			t.Errorf("the message is %q, want %q in it", u.Message, want)
		}
	}
	if detail := string(w.call("GET", "/v1/volumes/db", nil)); strings.Contains(detail, `"waiting_nodes"`) {
		t.Errorf("the second node still waits: %s", detail)
	}
	reader := csiLedger("reader", "db")
	reader.CSI[0].ReadOnly = true
	if u := w.ended(w.launch(one, reader)); !strings.Contains(u.Message, "ALREADY_EXISTS: volume db is published at ") {
		t.Errorf("a reader beside a writer is told %q", u.Message)
	}
	wrong := csiLedger("wrong", "other")
	wrong.CSI[0].Context = map[string]string{"sise": "1G"}
	if u := w.ended(w.launch(one, wrong)); !strings.Contains(u.Message, "INVALID_ARGUMENT: volume_context.sise: ") || !strings.Contains(u.Message, "did you mean size?") {
		t.Errorf("a mistake is told as %q", u.Message)
	}
	w.end(first)
	w.idle()
	third := w.launch(two, csiLedger("third", "db"))
	w.says(third, "verified 1")
	w.end(third)
	w.idle()
}

func TestCSIPluginWorksAfterARebootThoughItsVolumeIsElsewhere(t *testing.T) {
	t.Parallel()
	opts := patient(quick())
	w := newWorld(t, withCSI(t, opts, 0))
	one, two := w.Nodes[0], w.Nodes[1]
	first := w.launch(one, csiLedger("first", "db"))
	w.says(first, "ready")
	w.must(one.PowerOff())
	second := w.launch(two, csiLedger("second", "db"))
	w.says(second, "verified 1")
	w.says(second, "ready")

	one.Mesos.Kill()
	w.must(one.PowerOn(w.ctx()))
	w.must(one.Start(w.ctx()))
	before := len(one.Mesos.CSICalls())
	w.must(one.Mesos.Restart())
	w.must(one.AwaitConnected(w.ctx()))
	// Recovery publishes the volume, and takes it down again.
	w.until("Mesos has recovered", func() error {
		var all []string
		for _, c := range one.Mesos.CSICalls()[before:] {
			if c.Err != nil {
				return fmt.Errorf("%s: %w", c.Method, c.Err)
			}
			if c.Volume != "" {
				all = append(all, strings.TrimPrefix(c.Method, "Node"))
			}
		}
		if got, want := strings.Join(all, " "), "StageVolume PublishVolume UnpublishVolume UnstageVolume"; got != want {
			return fmt.Errorf("the calls are %q, want %q", got, want)
		}
		return nil
	})
	other := w.launch(one, csiLedger("other", "other"))
	w.says(other, "ready")
	if second.Last().State != mesos.StateRunning {
		t.Errorf("the task that has the volume is %+v", second.Last())
	}
	if _, err := os.Lstat(one.Path("/var/lib/flocker/csi/db/target")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the placeholder is still there: %v", err)
	}
	w.end(second)
	third := w.launch(one, csiLedger("third", "db"))
	w.says(third, "verified 2")
	w.says(third, "ready")
	w.end(third)
	w.end(other)
	w.idle()
}

func TestPreemptedCSIVolumeIsTakenFromItsContainersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withCSI(t, patient(nil, "preempt-grace", "500ms"), 0))
	one, two := w.Nodes[0], w.Nodes[1]
	task := csiLedger("first", "db")
	task.Command = "cd data; trap '' TERM; exec 3<>lines; echo ready; while :; do sleep 0.1; done"
	first := w.launch(one, task)
	w.says(first, "ready")
	// Whatever has a mount namespace of its own, as every container, has a copy of what
	// is mounted at the target.
	bystander := w.launch(one, &mesos.Task{ID: "bystander", Command: "echo ready; sleep infinity"})
	w.says(bystander, "ready")
	second := w.launch(two, &mesos.Task{
		ID: "second", Command: "echo ready; sleep infinity", Labels: labels("flocker.volume.data", "path=data,name=db,preempt=true"),
	})
	w.says(second, "ready")
	if u := w.ended(first); u.State != mesos.StateFailed && u.State != mesos.StateKilled {
		t.Errorf("the first task is %+v", u)
	}
	if u := bystander.Last(); u.State != mesos.StateRunning {
		t.Errorf("a container without the volume is %+v", u)
	}
	w.end(bystander)
	w.end(second)
	w.idle()
}

// TestCSICrashAtEveryFaultPoint has the agent die once at each point of the CSI front
// door, while a volume is shared, moved, and taken up after the machine was started
// again. Marathon starts what fails again, and an operator the Mesos agent that
// could not take something down.
func TestCSICrashAtEveryFaultPoint(t *testing.T) {
	t.Parallel()
	found := 0
	for _, fault := range faultsInSource(t, "../../agent/csi") {
		if !strings.HasPrefix(fault, csiPoint) {
			continue
		}
		found++
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t, withCSI(t, cluster.Options{}, 20*time.Second))
			w.lifeByCSI("FLOCKER_FAULT=" + fault)
			if !w.fired(fault) {
				t.Errorf("nothing came by %s: the story of this test has to be longer", fault)
			}
		})
	}
	if found == 0 {
		t.Error("no fault point found in the source")
	}
}

func (w *world) lifeByCSI(env string) {
	t := w.t
	t.Helper()
	acknowledged := 0
	ledger := func(n *cluster.Node) *mesos.Run {
		t.Helper()
		r := w.ready(n, csiLedger("ledger", "db"))
		verified, wrote := lines(t, r)
		if verified < acknowledged {
			t.Errorf("%d lines were acknowledged, %d are there", acknowledged, verified)
		}
		acknowledged = wrote
		return r
	}
	k := w.keep(env)
	for _, n := range w.Nodes {
		first := ledger(n)
		second := ledger(n)
		w.end(first)
		w.end(second)
		w.restartMesosUntilIdle(n)
	}
	n := w.Nodes[0]
	published := ledger(n)
	k.stop()
	n.Mesos.Kill()
	w.must(n.Reboot(w.ctx()))
	w.must(n.Start(w.ctx(), env))
	k = w.keepAgent(n)
	w.must(n.Mesos.Restart())
	w.connected(n)
	w.ended(published)
	w.restartMesosUntilIdle(n)
	for _, n := range w.Nodes {
		w.end(ledger(n))
		w.restartMesosUntilIdle(n)
	}
	k.stop()
}

func (w *world) restartMesos(n *cluster.Node) {
	w.t.Helper()
	n.Mesos.Kill()
	w.must(n.Mesos.Restart())
}

// restartMesosUntilIdle restarts a Mesos agent whose calls to take a volume down have
// failed: it repeats them only then.
func (w *world) restartMesosUntilIdle(n *cluster.Node) {
	w.t.Helper()
	if n.Mesos.DestroyErrors() > 0 {
		w.restartMesos(n)
	}
	w.idle()
}

// What Marathon's definitions ask for is what the plugin is asked for.
func TestExampleOfCSIIsReadAsThePluginReadsIt(t *testing.T) {
	t.Parallel()
	app, err := marathon.ReadApp(filepath.Join("../../examples", "ledger-csi.json"))
	if err != nil {
		t.Fatal(err)
	}
	task := app.Task()
	if len(task.CSI) != 1 || task.CSI[0].ID != "shop-ledger-csi" || task.CSI[0].Plugin != "csi.flocker.mesos" || task.CSI[0].Context["size"] != "5GiB" {
		t.Errorf("the task asks for %+v", task.CSI)
	}
}
