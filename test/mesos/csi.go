package mesos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

// CSIPlugin is Mesos' CSIPluginInfo of an unmanaged plugin: a file of the
// directory --csi_plugin_config_dir.
type CSIPlugin struct {
	Type             string        `json:"type"`
	Name             string        `json:"name"` // "" for default
	Endpoints        []CSIEndpoint `json:"endpoints"`
	TargetPathRoot   string        `json:"target_path_root"` // "" for one below the work directory
	TargetPathExists bool          `json:"target_path_exists"`

	Deadline time.Duration `json:"-"` // of a call, 0 for 60 s
}

// CSIEndpoint is where a service of a plugin is called.
type CSIEndpoint struct {
	Service  string `json:"csi_service"`
	Endpoint string `json:"endpoint"`
}

// CSIVolume is a volume that the volume/csi isolator serves.
type CSIVolume struct {
	Plugin, ID, ContainerPath string
	ReadOnly                  bool
	AccessMode                string // as in SINGLE_NODE_WRITER
	Block                     bool
	FSType                    string
	MountFlags                []string
	Context                   map[string]string
}

// CSICall is one call of a plugin, for the record.
type CSICall struct {
	Method string // as in NodeStageVolume
	Volume string // "" for a call that is about none
	Start  time.Time
	Took   time.Duration
	Err    error
}

// CSICalls returns all calls of plugins that have ended, in their order.
func (a *Agent) CSICalls() []CSICall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.csiCalls)
}

func (v CSIVolume) source() csiVolume {
	c := csiCapability{AccessMode: csiAccessMode{Mode: v.AccessMode}}
	if v.Block {
		c.Block = new(struct{})
	} else {
		c.Mount = &csiMount{FSType: v.FSType, MountFlags: v.MountFlags}
	}
	return csiVolume{PluginName: v.Plugin, StaticProvisioning: csiProvisioning{VolumeCapability: c, VolumeContext: v.Context, VolumeID: v.ID}}
}

// csiServer is the isolator, and what Mesos calls its CSI server. What it must
// not forget is in files below the work directory, which outlive a restart of
// the machine.
type csiServer struct {
	agent   *Agent
	plugins map[string]*csiPlugin
	ctx     context.Context //nolint:containedctx // one life of the agent
	end     context.CancelFunc

	mu sync.Mutex // guards the checkpoints of containers
}

func newCSIServer(a *Agent, l *life) *csiServer {
	s := &csiServer{agent: a, plugins: map[string]*csiPlugin{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	for _, info := range a.config.CSI {
		set(&info.Name, "default")
		set(&info.Deadline, time.Minute)
		s.plugins[info.Type] = &csiPlugin{info: info, agent: a, life: l, ctx: s.ctx, busy: map[string]*sync.Mutex{}}
	}
	return s
}

// recover is what happens when the agent has registered with the master: the
// plugins are initialised, and what no container uses any more is taken down.
func (s *csiServer) recover() {
	for _, p := range s.plugins {
		if err := p.initialize(); err != nil {
			fmt.Fprintln(s.agent.log, "CSI server failed to initialize plugin:", err)
		}
	}
	used, err := os.ReadDir(s.agent.host.Path(s.checkpoints()))
	if err != nil {
		return // there is nothing
	}
	for _, e := range used {
		if !s.agent.knows(e.Name()) {
			if err := s.cleanup(e.Name()); err != nil {
				fmt.Fprintln(s.agent.log, "failed to clean up the CSI volumes of an orphan:", err)
			}
		}
	}
}

func (s *csiServer) close() {
	s.end()
	for _, p := range s.plugins {
		p.close()
	}
}

// prepare publishes the volumes of a container and returns its mounts.
func (s *csiServer) prepare(c *container) ([]launch.Mount, error) {
	if err := s.use(c.key(), c.task.CSI); err != nil {
		return nil, err
	}
	errs := make([]error, len(c.task.CSI))
	mounts := make([]launch.Mount, len(c.task.CSI))
	var group sync.WaitGroup
	for i, v := range c.task.CSI {
		group.Go(func() {
			p, ok := s.plugins[v.Plugin]
			if !ok {
				errs[i] = fmt.Errorf("Failed to initialize plugin '%s': no such plugin", v.Plugin) //nolint:staticcheck // as Mesos says it
				return
			}
			if errs[i] = p.publish(v); errs[i] == nil {
				mounts[i] = c.bindCSI(v, p.target(v.ID))
			}
		})
	}
	group.Wait()
	if isClosed(s.ctx.Done()) {
		return nil, errKilled
	}
	return mounts, errors.Join(errs...)
}

// bindCSI has a published volume bound into the container.
func (c *container) bindCSI(v CSIVolume, source string) launch.Mount {
	m := launch.Mount{Source: source, Target: v.ContainerPath, Flags: unix.MS_BIND | unix.MS_REC}
	if !path.IsAbs(v.ContainerPath) {
		m.Target = path.Join(c.id.directory, v.ContainerPath)
		if c.id.rootfs != "" {
			m.Target = path.Join(c.id.rootfs, sandboxInImage, v.ContainerPath)
		}
	} else if c.id.rootfs != "" {
		m.Target = path.Join(c.id.rootfs, v.ContainerPath)
	}
	if v.ReadOnly {
		m.Flags |= unix.MS_RDONLY
	}
	return m
}

// cleanup ends a container's use of its volumes; the last one that has a volume
// has it taken down. The checkpoint stays when that fails, for the next life.
func (s *csiServer) cleanup(key string) error {
	mine, err := s.usedBy(key)
	if err != nil || mine == nil {
		return err
	}
	var errs []error
	for _, v := range mine {
		errs = append(errs, s.release(key, v))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(s.agent.host.Path(s.checkpoint(key)))
}

// release takes a volume down unless another container uses it. A container says
// that it does before it waits for its turn to publish, so that what is decided
// within a turn still holds when the volume is taken down.
func (s *csiServer) release(key string, v usedVolume) error {
	p, ok := s.plugins[v.Plugin]
	if !ok {
		return nil
	}
	defer p.turn(v.ID)()
	if shared, err := s.shared(key, v); err != nil || shared {
		return err
	}
	return p.unpublish(v.ID)
}

// usedVolume is what the isolator remembers for each container.
type usedVolume struct {
	Plugin string `json:"plugin_name"`
	ID     string `json:"volume_id"`
}

func (s *csiServer) checkpoints() string {
	return path.Join(s.agent.config.WorkDir, "isolators/volume/csi")
}

func (s *csiServer) checkpoint(key string) string { return path.Join(s.checkpoints(), key) }

// use writes down which volumes a container uses, before anything is done.
func (s *csiServer) use(key string, volumes []CSIVolume) error {
	var used []usedVolume
	for _, v := range volumes {
		used = append(used, usedVolume{v.Plugin, v.ID})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return writeJSON(filepath.Join(s.agent.host.Path(s.checkpoint(key)), "volumes"), used)
}

// usedBy returns which volumes a container uses, nil for none.
func (s *csiServer) usedBy(key string) ([]usedVolume, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var used []usedVolume
	err := readJSON(filepath.Join(s.agent.host.Path(s.checkpoint(key)), "volumes"), &used)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return used, err
}

// shared reports whether another container uses a volume, too.
func (s *csiServer) shared(key string, v usedVolume) (bool, error) {
	entries, err := os.ReadDir(s.agent.host.Path(s.checkpoints()))
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() == key {
			continue
		}
		others, err := s.usedBy(e.Name())
		if err != nil {
			return false, err
		}
		if slices.Contains(others, v) {
			return true, nil
		}
	}
	return false, nil
}

func (a *Agent) knows(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.containers, func(c *container) bool { return c.key() == key })
}

// encodeVolume encodes a volume's id as Mesos does for a path.
func encodeVolume(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
