// Package agent brings the volumes that this node's containers use, and gives
// them back. Volumes is the use case that all front doors call; the engine has
// a worker for each dataset, which takes one step after the other until the
// dataset is as wanted.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/flocker-mesos/flocker/agent/csi"
	"github.com/flocker-mesos/flocker/agent/local"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// Deps is what an Agent is built from.
type Deps struct {
	Node    api.NodeID // from the node's certificate
	Backend backend.Backend
	Stopper backend.Stopper // stops lost machines, nil where only the backend may be able to
	Dial    Dialer
	Labels  local.Labels // nil where no Mesos agent is configured
	Roles   local.Roles  // likewise
	Mesos   string       // its URL
	Inspect local.Mesos  // likewise
	// Marathon asks one about itself, nil where that is not known.
	Marathon local.Marathon
	Version  string
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil for none
	Now      func() time.Time
	BootID   string // "" for the kernel's
	// Ending is told that a container has ended here, or is about to, for all that
	// Marathon knows: whoever asks Mesos had better do so now. It must not block;
	// nil where nobody asks.
	Ending func()
}

// Agent is the agent of one node.
type Agent struct {
	cfg     Config
	deps    Deps
	lock    *os.File
	root    *host.MountRoot
	link    *link
	engine  *engine
	reports *reporter
	stepper *stepper
	volumes *Volumes

	inventory *inventory
	csi       *csi.Server        // nil without a CSI socket
	stop      context.CancelFunc // ends the workers
}

// New reads what the node knows and is ready to Run; nothing is mounted or
// attached before. Errors: a mount root or state directory that cannot be used.
func New(ctx context.Context, cfg Config, deps Deps) (_ *Agent, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.BootID == "" {
		if deps.BootID, err = host.Era(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	if err := host.CheckPrivateDir(cfg.StateDir); err != nil {
		return nil, fmt.Errorf("state-dir: %w", err)
	}
	if err := os.Chmod(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("state-dir: %w", err)
	}
	a := &Agent{cfg: cfg, deps: deps, inventory: newInventory()}
	if a.lock, err = lockState(cfg.lockFile()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = a.lock.Close()
		}
	}()
	identity, err := agentIdentity(cfg.identityFile(), deps.Log)
	if err != nil {
		return nil, err
	}
	journal, err := openJournal(cfg.consumersDir(), deps.BootID)
	if err != nil {
		return nil, err
	}
	if cfg.CSISocket != "" {
		records, err := csi.OpenRecords(cfg.csiDir(), deps.BootID, deps.Log)
		if err != nil {
			return nil, err
		}
		a.csi = &csi.Server{Records: records, Node: deps.Node, Version: deps.Version, Log: deps.Log}
	}
	instance, err := deps.Backend.InstanceID(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask %s what it calls this machine: %w", deps.Backend.Properties().Name, err)
	}
	where, err := findZones(ctx, cfg.Zone, deps.Backend)
	if err != nil {
		return nil, err
	}
	if a.root, err = host.OpenMountRoot(cfg.mountPoints(), cfg.MountRoot); err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	a.link = newLink(deps.Log, deps.Now, deps.Dial, api.Hello{
		Hostname: hostname, Era: deps.BootID, Agent: identity, Instance: instance,
		Backend: deps.Backend.Properties().Name, Version: deps.Version,
		AllocationUnit: deps.Backend.Properties().AllocationUnit, MaxSize: deps.Backend.Properties().MaxSize, Capabilities: deps.capabilities(where), Zone: where.here,
	})
	a.link.logs.path = cfg.logFile()
	return a, a.assemble(journal, instance, where)
}

// assemble wires the rooms of the agent together.
func (a *Agent) assemble(journal *journal, instance string, where zones) error {
	m := newMetrics(a.link, journal, openTimes(a.cfg.timesFile(), a.deps.Now, a.deps.Log))
	a.stepper = &stepper{log: a.deps.Log, backend: a.deps.Backend, instance: instance, root: a.root, journal: journal, stopper: a.deps.stopper(), zones: where}
	a.stepper.grower, _ = a.deps.Backend.(backend.Grower)
	a.reports = newReporter(a.deps.Node, a.link.current)
	a.engine = &engine{
		node: a.deps.Node, log: a.deps.Log, now: a.deps.Now, stepper: a.stepper, control: a.link, reports: a.reports,
		inContact: a.link.inContact, mayMake: a.mayMake, grace: a.cfg.PreemptGrace, times: m.times, waitLimit: a.cfg.WaitLimit,
		slots: semaphore.NewWeighted(int64(a.cfg.Workers)), watches: semaphore.NewWeighted(maxWatches), trims: semaphore.NewWeighted(1),
		datasets: map[api.DatasetID]*dataset{}, leases: map[api.DatasetID]*api.Lease{}, names: map[string]int{}, roots: map[string]int{}, metrics: m,
	}
	if a.engine.ending = a.deps.Ending; a.engine.ending == nil {
		a.engine.ending = func() {}
	}
	m.engine, m.trouble = a.engine, a.reports.mesosTrouble
	a.engine.ctx, a.stop = context.WithCancel(context.Background())
	a.reports.state, a.reports.settle, a.reports.spend = a.engine.state, a.engine.settle, a.engine.spend
	a.volumes = &Volumes{
		log: a.deps.Log, now: a.deps.Now, engine: a.engine, journal: journal, control: a.link, root: a.root,
		waitLimit: a.cfg.WaitLimit, busy: map[string]chan struct{}{}, members: newMembers(), allowed: a.cfg.AllowOptions,
	}
	a.engine.memberCame = a.volumes.members.wake
	if a.csi != nil {
		a.csi.Volumes = a.volumes
	}
	for _, c := range journal.all() {
		a.engine.addConsumer(c, time.Time{})
	}
	if a.deps.Metrics == nil {
		return nil
	}
	if err := a.deps.Metrics.Register(m); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// Close ends the workers, whose last steps it waits for, and lets another agent
// use the state directory. Run calls it.
func (a *Agent) Close() error {
	a.stop()
	a.engine.close()
	return errors.Join(a.root.Close(), a.lock.Close())
}

// Volumes returns the use case that front doors call.
func (a *Agent) Volumes() *Volumes { return a.volumes }

// Run rediscovers what is on this node, serves local clients at once, and
// follows the control service until ctx ends. What is mounted then stays so:
// containers go on, and the next agent finds everything again.
func (a *Agent) Run(ctx context.Context) error {
	defer func() { _ = a.Close() }()
	listeners, err := a.listen()
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // the socket stays: a client that finds it waits for the next agent
		}
	}()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, a.stop)
	if _, err := a.Survey(ctx); err != nil {
		return err
	}
	a.deps.Log.Info("agent runs", "node", a.deps.Node, "version", a.deps.Version, "backend", a.deps.Backend.Properties().Name,
		"instance", a.stepper.instance, "zone", a.stepper.zones.here, "consumers", len(a.volumes.journal.all()), "config", a.cfg.String())
	a.noteFacts()
	watch := newWatcher(a.deps.Log, a.engine)
	watch.look(ctx, a.engine.wards(), func(ward) bool { return true })
	server := &local.Server{
		Volumes: &frontDoor{a}, Labels: a.deps.Labels, Roles: a.deps.Roles, Marathon: a.deps.Marathon, Mesos: a.deps.Inspect, Clone: host.CloneMount,
		MountRoot: a.root.Path(""), WaitLimit: a.cfg.WaitLimit, Log: a.deps.Log,
	}
	group.Go(func() error { return server.Serve(ctx, listeners[a.cfg.Socket]) })
	if a.csi != nil {
		group.Go(func() error { return a.csi.Serve(ctx, listeners[a.cfg.CSISocket]) })
	}
	group.Go(func() error { a.reports.run(ctx); return nil })
	group.Go(func() error { watch.run(ctx); return nil })
	group.Go(func() error { a.volumes.seek(ctx); return nil })
	group.Go(func() error { a.volumes.watchAsides(ctx); return nil })
	group.Go(func() error { a.engine.runTrims(ctx, a.cfg.TrimInterval); return nil })
	if overseer, ok := a.deps.Backend.(backend.Overseer); ok {
		group.Go(func() error { overseer.Oversee(ctx, a.engine.suspect); return nil })
	}
	group.Go(func() error { a.engine.times.run(ctx); return nil })
	group.Go(func() error {
		a.link.run(ctx, a.engine, func() {
			a.reportAll()
			a.inventory.want()
		})
		return nil
	})
	group.Go(func() error { a.takeInventories(ctx); return nil })
	return group.Wait()
}

// listen makes the sockets of the front doors. Whoever calls now waits until
// the agent knows what is on this node.
func (a *Agent) listen() (map[string]net.Listener, error) {
	sockets := []string{a.cfg.Socket}
	if a.csi != nil {
		sockets = append(sockets, a.cfg.CSISocket)
	}
	listeners := map[string]net.Listener{}
	for _, socket := range sockets {
		if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
			return listeners, fmt.Errorf("make directory of socket: %w", err)
		}
		if err := host.CheckParents(socket); err != nil {
			return listeners, fmt.Errorf("socket: %w", err)
		}
		l, err := local.Listen(socket)
		if err != nil {
			return listeners, err
		}
		listeners[socket] = l
	}
	return listeners, nil
}

// noteFacts notes what the isolator has to know while no agent runs. Without it the
// isolator takes the defaults.
func (a *Agent) noteFacts() {
	facts := api.AgentFacts{WaitLimit: a.cfg.WaitLimit, Labels: a.deps.Labels != nil}
	if err := writeFacts(api.MemoryDir(a.cfg.Socket), facts); err != nil {
		a.deps.Log.Warn("cannot note the wait limit for containers that are launched while no agent runs", "cause", err)
	}
}

func writeFacts(dir string, facts api.AgentFacts) error {
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return host.ReplaceFile(filepath.Join(dir, api.AgentFactsFile), text, 0o644)
}

// reportAll has the state of everything reported, as on a new stream.
func (a *Agent) reportAll() {
	for _, id := range a.engine.all() {
		a.reports.note(id)
	}
	a.reports.wakeUp()
}

// TellMesosTrouble takes in why the containers of the Mesos agent are unknown,
// nil for no trouble: status, metrics and the control service show it.
func (a *Agent) TellMesosTrouble(t *api.MesosTrouble) { a.reports.setMesosTrouble(t) }

// frontDoor adds what the agent says about itself to Volumes.
type frontDoor struct{ *Agent }

func (f *frontDoor) Acquire(ctx context.Context, req api.AcquireRequest) ([]api.Mount, error) {
	return f.volumes.Acquire(ctx, req)
}

func (f *frontDoor) Await(ctx context.Context, consumer string, progress func(string)) ([]api.Mount, error) {
	return f.volumes.Await(ctx, consumer, progress)
}

func (f *frontDoor) Release(ctx context.Context, consumer string) error {
	return f.volumes.Release(ctx, consumer)
}

// Status is what the agent says about itself, for the doctor.
func (f *frontDoor) Status() api.AgentStatus {
	connected, why := f.link.connected()
	since, times := f.engine.times.summary()
	return api.AgentStatus{
		Version: f.deps.Version, Node: f.deps.Node, MountRoot: f.cfg.MountRoot, WaitLimit: f.cfg.WaitLimit,
		Control: why, Connected: connected, Log: f.link.logNow(), Mesos: f.deps.Mesos, MesosTrouble: f.reports.mesosTrouble(), Mounts: f.volumes.allMounts(),
		Times: times, TimesSince: since,
	}
}
