package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/host"
)

// patience bounds a wait for something that must happen; no test is quicker
// or slower for it unless it fails.
const patience = 30 * time.Second

// san is a storage that several nodes share, with a control service.
type san struct {
	t       *testing.T
	root    string
	control *agenttest.Control
}

func newSAN(t *testing.T) *san {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it mounts file systems")
	}
	return &san{t: t, root: t.TempDir(), control: agenttest.NewControl()}
}

// node is a machine with an agent that can be stopped and started.
type node struct {
	t       *testing.T
	san     *san
	id      api.NodeID
	dir     string
	config  agent.Config
	agent   *agent.Agent
	ending  func()                // is told of ends
	metrics prometheus.Registerer // nil for none
	wrap    func(backend.Backend) backend.Backend
	heard   chan struct{}
	stop    func()
}

func (s *san) node(id api.NodeID) *node {
	s.t.Helper()
	dir := s.t.TempDir()
	n := &node{t: s.t, san: s, id: id, dir: dir, config: agent.Config{
		StateDir:  filepath.Join(dir, "state"),
		RunDir:    filepath.Join(dir, "run"),
		MountRoot: filepath.Join(dir, "flocker"),
		Socket:    filepath.Join(dir, "agent.sock"),
		WaitLimit: patience,
		Workers:   4,
	}}
	s.t.Cleanup(n.cleanUp)
	return n
}

// start runs the node's agent.
func (n *node) start() *agent.Volumes {
	n.t.Helper()
	loops, err := loopback.New(loopback.Config{RootPath: n.san.root, InstanceID: string(n.id)})
	if err != nil {
		n.t.Fatal(err)
	}
	storage := backend.Backend(loops)
	if n.wrap != nil {
		storage = n.wrap(storage)
	}
	log := slog.New(slog.NewTextHandler(n.t.Output(), nil)).With("node", n.id)
	n.agent, err = agent.New(n.t.Context(), n.config, agent.Deps{
		Node: n.id, Backend: storage, Dial: n.san.control.Dialer(n.id), Version: "test", Log: log, Ending: n.ending, Metrics: n.metrics,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.agent.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("agent of %s ended: %v", n.id, err)
		}
		n.stop = nil
	}
	return n.agent.Volumes()
}

func (n *node) cleanUp() {
	if n.stop == nil && n.agent == nil {
		return
	}
	if n.stop == nil {
		n.start()
	}
	for _, c := range n.agent.Volumes().Consumers() {
		if err := n.agent.Volumes().Release(context.Background(), c.ID); err != nil {
			n.t.Error(err)
		}
	}
	n.san.control.SetDown(false)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.san.control.Await(ctx, func(c *agenttest.Control) bool { return !c.HasHolder(n.id) }); err != nil {
		n.t.Errorf("node %s still holds datasets: %v", n.id, err)
	}
	n.stop()
	root, err := host.OpenMountRoot(filepath.Join(n.config.RunDir, "mnt"), n.config.MountRoot)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := root.Remove(); err != nil {
		n.t.Errorf("remove mount root of %s: %v (volumes left mounted?)", n.id, err)
	}
}

func request(consumer string, volumes ...api.VolumeRequest) api.AcquireRequest {
	return api.AcquireRequest{Consumer: consumer, Kind: api.ConsumerMesos, App: "/test", Volumes: volumes}
}

func volume(name string) api.VolumeRequest {
	return api.VolumeRequest{Key: "data", Path: "/data", Name: name, Size: 64 << 20}
}

// use acquires volumes and waits until they are mounted.
func (n *node) use(consumer string, volumes ...api.VolumeRequest) []api.Mount {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	v := n.agent.Volumes()
	if _, err := v.Acquire(ctx, request(consumer, volumes...)); err != nil {
		n.t.Fatalf("acquire for %s on %s: %v", consumer, n.id, err)
	}
	mounts, err := v.Await(ctx, consumer, func(s string) { n.t.Log(n.id, s) })
	if err != nil {
		n.t.Fatalf("await for %s on %s: %v", consumer, n.id, err)
	}
	for _, m := range mounts {
		if !m.Ready {
			n.t.Fatalf("volume %s is not ready after Await", m.Name)
		}
	}
	return mounts
}

func (n *node) release(consumer string) {
	n.t.Helper()
	if err := n.agent.Volumes().Release(n.t.Context(), consumer); err != nil {
		n.t.Fatal(err)
	}
}

// hears waits until the agent has heard all that its stream has for it: the last
// of that has it destroy a volume.
func (n *node) hears() {
	n.t.Helper()
	n.use("hearing", volume("last"))
	id := n.san.control.Dataset("last").ID
	n.san.control.Change(id, func(d *api.Dataset) { d.Deleted = true })
	n.release("hearing")
	n.san.await("the agent has heard all", func(c *agenttest.Control) bool { return c.Get(id).Destroyed })
}

// await waits for a condition of the cluster.
func (s *san) await(what string, cond func(c *agenttest.Control) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.control.Await(ctx, cond); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAVolumeIsBroughtAndGivenBack(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	info, err := os.Stat(m.Source)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("root of a fresh volume has mode %v, want 0777 so that any user can use it", info.Mode())
	}
	n.release("c1")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	if _, err := os.Stat(filepath.Join(m.Source, "row")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the volume is still mounted: %v", err)
	}
	m = n.use("c2", volume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q after it was brought again, want hello", got)
	}
}

func TestNothingCanBeWrittenBelowAMountPoint(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", volume("db"))[0]
	n.release("c1")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
	if err := os.WriteFile(filepath.Join(n.config.MountRoot, "beside"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to the mount root: %v, want read-only file system", err)
	}
	if err := os.WriteFile(filepath.Join(m.Source, "beside"), nil, 0o600); err == nil {
		t.Error("a file was written where the volume was")
	}
}

func TestTwoConsumersOfANodeShareAVolume(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", volume("db"))[0]
	ro := volume("db")
	ro.ReadOnly = true
	view := n.use("c2", ro)[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	if got := read(t, filepath.Join(view.Source, "row")); got != "hello" {
		t.Errorf("the read-only view shows %q, want hello", got)
	}
	if err := os.WriteFile(filepath.Join(view.Source, "row"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to the read-only view: %v, want read-only file system", err)
	}
	n.release("c1")
	if got := read(t, filepath.Join(view.Source, "row")); got != "hello" {
		t.Errorf("after the first consumer ended the view shows %q, want hello", got)
	}
	n.release("c2")
	s.await("volume is given back with the last", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
}

func TestAVolumeFollowsItsConsumer(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	m := a.use("c1", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "from a")

	if _, err := b.agent.Volumes().Acquire(t.Context(), request("c2", volume("db"))); err != nil {
		t.Fatal(err)
	}
	s.await("node b waits", func(c *agenttest.Control) bool { return c.Dataset("db").AwaitedBy("node-b") })
	if got := read(t, filepath.Join(m.Source, "row")); got != "from a" {
		t.Errorf("node a reads %q while b waits", got)
	}
	a.release("c1")
	m = b.use("c2", volume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "from a" {
		t.Errorf("node b reads %q, want what a wrote", got)
	}
}

func TestWaitingEndsAtTheLimitAndSaysWhy(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	b.config.WaitLimit = 300 * time.Millisecond
	a.start()
	vb := b.start()
	a.use("c1", volume("db"))
	if _, err := vb.Acquire(t.Context(), request("c2", volume("db"))); err != nil {
		t.Fatal(err)
	}
	var told []string
	_, err := vb.Await(t.Context(), "c2", func(text string) { told = append(told, text) })
	if api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "held by node-a") {
		t.Errorf("Await at the limit = %v, want who holds it", err)
	}
	if len(told) == 0 || !strings.Contains(strings.Join(told, "\n"), "held by node-a") {
		t.Errorf("progress = %q, want who holds it", told)
	}
	b.release("c2")
	s.await("node b stops waiting", func(c *agenttest.Control) bool { return !c.Dataset("db").AwaitedBy("node-b") })
	if d := s.control.Dataset("db"); !d.HeldBy("node-a") {
		t.Errorf("holder is %v, want node-a", d.Holder)
	}
}

func TestARestartedAgentFindsEverythingAgain(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	ro := volume("db")
	ro.ReadOnly, ro.Key = true, "view"
	before := n.use("c1", volume("db"), ro)
	write(t, filepath.Join(before[0].Source, "row"), "hello")
	open, err := os.Open(filepath.Join(before[0].Source, "row"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	n.stop()
	n.start()
	after := n.use("c1", volume("db"), ro)
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("mount after the restart = %+v, before it %+v", after[i], before[i])
		}
	}
	_ = open.Close()
	n.release("c1")
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
}

func TestWithoutTheControlServiceRunningContainersAndKnownVolumesGoOn(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	v := n.start()
	n.use("c1", volume("db"))
	s.control.SetDown(true)
	n.use("c2", volume("db"))
	_, err := v.Acquire(t.Context(), request("c3", volume("other")))
	if api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "control service") {
		t.Errorf("acquiring an unknown volume = %v, want that the control service cannot be reached", err)
	}
	// The isolator's hook holds up Mesos, and is not kept waiting for an attempt to connect.
	hurried := request("c3", volume("other"))
	hurried.Hurry = true
	if _, err := v.Acquire(t.Context(), hurried); api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("acquiring an unknown volume in a hurry = %v", err)
	}
	known := request("c4", volume("db"))
	known.Hurry = true
	if _, err := v.Acquire(t.Context(), known); err != nil {
		t.Errorf("acquiring a volume that is here in a hurry = %v", err)
	}
	n.release("c1")
	n.release("c2")
	n.release("c4")
	s.control.SetDown(false)
	s.await("volume is given back", func(c *agenttest.Control) bool { return c.Dataset("db").Holder == nil })
}

// A request may be read only after its container has ended and was released: an agent
// that starts takes what came to its socket meanwhile in any order.
func TestARequestWhoseClientIsGoneIsDropped(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	v := n.start()
	req := request("c1", volume("db"))
	req.Alive = func() bool { return false }
	if _, err := v.Acquire(t.Context(), req); api.CodeOf(err) != api.CodeUnavailable || len(v.Consumers()) > 0 {
		t.Errorf("got %v, and the consumers %+v", err, v.Consumers())
	}
}

func TestTheWaitLimitCountsFromWhenTheContainerBeganToWait(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.config.WaitLimit = time.Hour
	v := b.start()
	a.use("c1", volume("db"))
	req := request("c2", volume("db"))
	req.Since = time.Now().Add(-2 * time.Hour)
	if _, err := v.Acquire(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Await(t.Context(), "c2", func(string) {}); api.CodeOf(err) != api.CodeUnavailable {
		t.Errorf("await = %v, want that the limit has passed", err)
	}
	b.release("c2")
	ahead := request("c3", volume("db"))
	ahead.Since = time.Now().Add(time.Hour)
	if _, err := v.Acquire(t.Context(), ahead); err != nil {
		t.Fatal(err)
	}
	if c := v.Consumers(); len(c) != 1 || c[0].Since.After(time.Now()) {
		t.Errorf("got %+v, want a consumer that is not of the future", c)
	}
}

func TestAPinnedVolumeIsMountedThoughNothingUsesIt(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	m := a.use("c1", volume("db"))[0]
	id := s.control.Dataset("db").ID
	s.control.Change(id, func(d *api.Dataset) { d.Pinned = true })
	write(t, filepath.Join(m.Source, "row"), "hello")
	a.release("c1")
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q after the last consumer ended", got)
	}
	m = b.use("c2", volume("db"))[0]
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("node b reads %q: a pin gives way to who needs the volume", got)
	}
}

func TestADeletedVolumeIsDestroyedWhenNobodyUsesItAnyMore(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	m := n.use("c1", volume("db"))[0]
	write(t, filepath.Join(m.Source, "row"), "hello")
	id := s.control.Dataset("db").ID
	s.control.Change(id, func(d *api.Dataset) { d.Deleted = true })
	if got := read(t, filepath.Join(m.Source, "row")); got != "hello" {
		t.Errorf("read %q while a consumer uses the deleted volume", got)
	}
	n.release("c1")
	s.await("the volume is destroyed", func(c *agenttest.Control) bool { return c.Get(id).Destroyed })
	if _, err := os.Stat(filepath.Join(s.root, "unattached", string(id))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the image is still there: %v", err)
	}
}

func TestALeaseKeepsAVolumeUntilItGoes(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(*api.Dataset)
		done func(*api.Dataset) bool
	}{
		"moved": {func(d *api.Dataset) { d.Pinned, d.Primary = true, "node-b" }, func(d *api.Dataset) bool { return d.Holder == nil }},
		"waited for": {
			func(d *api.Dataset) { d.Waiting = []api.Waiter{{Node: "node-b"}} },
			func(d *api.Dataset) bool { return d.HeldBy("node-b") },
		},
		"preempted": {
			func(d *api.Dataset) { d.Waiting = []api.Waiter{{Node: "node-b", Preempt: true}} },
			func(d *api.Dataset) bool { return d.HeldBy("node-b") },
		},
		"no longer used": {func(*api.Dataset) {}, func(d *api.Dataset) bool { return d.Holder == nil }},
		"deleted":        {func(d *api.Dataset) { d.Deleted = true }, func(d *api.Dataset) bool { return d.Destroyed }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSAN(t)
			var releases atomic.Int32
			s.control.Observe = func(_ api.NodeID, d api.Dataset, r api.DatasetReport) {
				if r.Release && d.Name() == "db" {
					releases.Add(1)
				}
			}
			n := s.node("node-a")
			n.start()
			m := n.use("c1", volume("db"))[0]
			write(t, filepath.Join(m.Source, "row"), "hello")
			id := s.control.Dataset("db").ID
			s.control.Lease(id, "node-a")
			s.control.Change(id, c.ask)
			n.hears()
			n.release("c1")
			// Whatever else happens to the agent: it is out of contact, begins a
			// new stream, is started again, has other things to do.
			s.control.SetDown(true)
			s.control.SetDown(false)
			n.hears()
			n.stop()
			n.start()
			n.hears()
			if got := read(t, filepath.Join(m.Source, "row")); got != "hello" || releases.Load() > 0 {
				t.Errorf("read %q, and it was released %d times, while there is a lease", got, releases.Load())
			}
			s.control.Unlease(id)
			s.await("it goes on by itself", func(ctl *agenttest.Control) bool { return c.done(ctl.Get(id)) })
			s.control.Change(id, func(d *api.Dataset) { d.Waiting, d.Holder = nil, nil })
		})
	}
}
