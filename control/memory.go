package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/logmemory"
)

// DefaultStateDir is where a replica over Consul remembers which log it has seen.
const DefaultStateDir = "/var/lib/flocker/control"

// memoryPause is between two times that a replica notes how far its log is.
const memoryPause = 30 * time.Second

// memoryFile returns the file of the memory of a cluster's log. Replicas of
// several clusters may share a machine, so it is named after the cluster.
func (c Config) memoryFile(clusterID string) string {
	dir, err := c.storeDirectory()
	if err != nil {
		dir = DefaultStateDir
	}
	return filepath.Join(cmp.Or(c.StateDir, dir), "log-"+clusterID+".json")
}

// memory is what this machine remembers of the log that its replica has served.
type memory struct {
	path string // "" for a replica that remembers nothing
	seen api.LogIdentity
}

// ErrOtherLog says that a log is not the one that this machine knows.
var ErrOtherLog = errors.New("is not the log that this machine knows")

// admit reports as ErrOtherLog a log that cannot be the one that was served here
// before.
func (m *memory) admit(found api.LogIdentity, name string) error {
	if m.path == "" {
		return nil
	}
	seen, err := logmemory.Read(m.path)
	if err != nil {
		return fmt.Errorf("%w. Without it an empty or foreign log could be taken for this cluster's. If %s is certainly the right log, remove the file",
			err, name)
	}
	m.seen = seen
	why := seen.Refuses(found)
	if why == "" {
		return nil
	}
	return fmt.Errorf("%s %w: %s (%s). Nothing was changed. First look at store in the settings: address, prefix, datacenter. "+
		"To bring the records back: flocker control restore --replace FILE. To go on with the log that is there: "+
		"flocker control accept-log %s; agents refuse it until they accept it too, and volumes that only the other log knows must be adopted",
		name, ErrOtherLog, why, m.path, logName(found))
}

// EmptyLog is what a log without records is called where one is accepted.
const EmptyLog = "empty"

func logName(l api.LogIdentity) string { return cmp.Or(l.ID, EmptyLog) }

// note remembers a log that was admitted.
func (m *memory) note(found api.LogIdentity) error {
	next, changed := m.seen.Newer(found)
	if m.path == "" || !changed {
		return nil
	}
	if err := logmemory.Write(m.path, next); err != nil {
		return fmt.Errorf("%w: set state-dir to a directory that outlives this process", err)
	}
	m.seen = next
	return nil
}

// remember notes now and then, and at the end, how far the log is.
func (r *Replica) remember(ctx context.Context) {
	tick := time.NewTicker(memoryPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if err := r.memory.note(r.State().Identity()); err != nil {
			r.slog.Warn("cannot remember how far the log is", "cause", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// AcceptLog has this machine take the log of the configuration for the right
// one, whatever it has seen before, and returns what it remembered. ID is that of
// the log, or EmptyLog for one without records.
func AcceptLog(ctx context.Context, cfg Config, clusterID, id string) (was api.LogIdentity, err error) {
	path := cfg.memoryFile(clusterID)
	was, _ = logmemory.Read(path) // one that cannot be read is replaced
	found, err := IdentityOf(ctx, cfg)
	if err != nil {
		return was, err
	}
	if id != logName(found) {
		return was, fmt.Errorf("the log in %s is %s, not %s. Nothing was changed", consul.Redacted(cfg.Store), logName(found), id)
	}
	if found.ID == "" {
		return was, logmemory.Forget(path)
	}
	found.Replaces = nil
	return was, logmemory.Write(path, found)
}

// IdentityOf returns which log the configuration names. It has no ID where there
// is none.
func IdentityOf(ctx context.Context, cfg Config) (found api.LogIdentity, err error) {
	if !logExists(cfg) {
		return found, nil
	}
	log, err := OpenExisting(cfg)
	if err != nil {
		return found, err
	}
	defer func() { _ = log.Close() }() // it was only read
	snap, err := log.Load(ctx)
	if err != nil {
		return found, fmt.Errorf("load log: %w", err)
	}
	s := cluster.New()
	for _, r := range snap.Records {
		if key := cluster.Key(r.Key); key == cluster.KeyMeta || key == cluster.KeyLog {
			if err := s.PutStored(key, r.Value); err != nil {
				return found, err
			}
		}
	}
	s.SetRevision(snap.Revision)
	return s.Identity(), nil
}

// strangers are the nodes that were refused because they know another log.
type strangers struct {
	mu    sync.Mutex
	nodes map[api.NodeID]api.OtherLog
}

// maxStrangers bounds them, and strangerLife is how long each is shown.
const (
	maxStrangers = 100
	strangerLife = 10 * time.Minute
)

func (s *strangers) add(o api.OtherLog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes == nil {
		s.nodes = map[api.NodeID]api.OtherLog{}
	}
	if _, known := s.nodes[o.Node]; known || len(s.nodes) < maxStrangers {
		s.nodes[o.Node] = o
	}
}

func (s *strangers) remove(node api.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, node)
}

// all returns the nodes that were refused lately, and that no replica has taken since.
func (s *strangers) all(now time.Time, node func(api.NodeID) *api.Node) []api.OtherLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []api.OtherLog
	for id, o := range s.nodes {
		n := node(id)
		if now.Sub(o.Since) > strangerLife || n != nil && n.Connected && n.Since.After(o.Since) {
			delete(s.nodes, id)
			continue
		}
		all = append(all, o)
	}
	return all
}

// admitLog refuses an agent that knows another log than this one. How far the
// log is can only be told once the agent's stream is in it.
func (a *agents) admitLog(node api.NodeID, hello api.Hello) error {
	if hello.Log == nil {
		return nil
	}
	found := a.replica.State().Identity()
	if found.ID == hello.Log.ID && found.Incarnation == hello.Log.Incarnation {
		return nil
	}
	return a.judgeLog(node, *hello.Log, found)
}

// admitRevision refuses an agent that has seen more of the log than there is.
func (a *agents) admitRevision(node api.NodeID, hello api.Hello, s *cluster.State) error {
	if hello.Log != nil {
		if err := a.judgeLog(node, *hello.Log, s.Identity()); err != nil {
			return err
		}
	}
	a.replica.strangers.remove(node)
	return nil
}

func (a *agents) judgeLog(node api.NodeID, seen, found api.LogIdentity) error {
	why := seen.Refuses(found)
	if why == "" {
		return nil
	}
	a.metrics.otherLog.Inc()
	seen.Starts = nil
	a.replica.strangers.add(api.OtherLog{Node: node, Log: seen, Why: why, Since: a.now()})
	a.log.Warn("agent refused, it knows another log", "node", nodeName(a.replica.State(), node), "cause", why)
	// Another replica may have the right one.
	return api.Errorf(api.CodeUnavailable, "%s: the log of the control service %s is not the one that this node knows: %s", api.OtherLogRefused, a.name, why)
}
