package mesos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// csiPlugin is one plugin and its volumes: Mesos' service manager and volume
// manager.
type csiPlugin struct {
	info  CSIPlugin
	agent *Agent
	life  *life
	ctx   context.Context //nolint:containedctx // one life of the agent

	mu    sync.Mutex
	conn  *grpc.ClientConn
	ready bool
	stage bool // the plugin can

	busyMu sync.Mutex
	busy   map[string]*sync.Mutex // by volume: calls about one wait for each other
}

// initialize asks the plugin what it is and takes up what was published before.
// Whatever of it fails, fails every launch, and is tried again with the next one.
func (p *csiPlugin) initialize() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready {
		return nil
	}
	if p.conn == nil {
		conn, err := p.dial()
		if err != nil {
			return err
		}
		p.conn = conn
	}
	identity, node := spec.NewIdentityClient(p.conn), spec.NewNodeClient(p.conn)
	if err := csiCall(p, "", identity.Probe, new(spec.ProbeRequest)); err != nil {
		return err
	}
	if err := csiCall(p, "", identity.GetPluginCapabilities, new(spec.GetPluginCapabilitiesRequest)); err != nil {
		return err
	}
	if err := csiCall(p, "", identity.GetPluginInfo, new(spec.GetPluginInfoRequest)); err != nil {
		return err
	}
	capabilities, err := csiAsk(p, "", node.NodeGetCapabilities, new(spec.NodeGetCapabilitiesRequest))
	if err != nil {
		return err
	}
	for _, c := range capabilities.GetCapabilities() {
		p.stage = p.stage || c.GetRpc().GetType() == spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME
	}
	if err := p.recover(); err != nil {
		return err
	}
	p.ready = true
	return nil
}

func (p *csiPlugin) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// dial connects to the plugin's socket on the agent's host.
func (p *csiPlugin) dial() (*grpc.ClientConn, error) {
	for _, e := range p.info.Endpoints {
		socket, ok := strings.CutPrefix(e.Endpoint, "unix://")
		if e.Service != "NODE_SERVICE" || !ok {
			continue
		}
		return grpc.NewClient("passthrough:///localhost", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 2, MaxDelay: time.Second}}),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.agent.host.Dial(ctx, "unix", socket) }))
	}
	return nil, fmt.Errorf("plugin '%s' has no NODE_SERVICE at unix://", p.info.Type)
}

// csiAsk makes a call as Mesos does: it waits for the plugin to be there, has one
// deadline for all, and is never repeated.
func csiAsk[Q, A any](p *csiPlugin, volume string, method func(context.Context, Q, ...grpc.CallOption) (A, error), req Q) (A, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.info.Deadline)
	defer cancel()
	name := strings.TrimSuffix(filepath.Ext(fmt.Sprintf("%T", req)), "Request")
	call := CSICall{Method: strings.TrimPrefix(name, "."), Volume: volume, Start: time.Now()}
	answer, err := method(ctx, req, grpc.WaitForReady(true))
	call.Took, call.Err = time.Since(call.Start), err
	p.agent.mu.Lock()
	p.agent.csiCalls = append(p.agent.csiCalls, call)
	p.agent.mu.Unlock()
	if err != nil {
		err = errors.New(csiError(err))
	}
	return answer, err
}

func csiCall[Q, A any](p *csiPlugin, volume string, method func(context.Context, Q, ...grpc.CallOption) (A, error), req Q) error {
	_, err := csiAsk(p, volume, method, req)
	return err
}

// csiError returns a failed call as Mesos tells it: the code's name and the text.
func csiError(err error) string {
	st := status.Convert(err)
	if st.Code() == codes.DeadlineExceeded {
		return "DEADLINE_EXCEEDED: Deadline Exceeded"
	}
	var name strings.Builder
	for i, r := range st.Code().String() {
		if i > 0 && unicode.IsUpper(r) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToUpper(r))
	}
	return name.String() + ": " + st.Message()
}

// Paths of a volume.
func (p *csiPlugin) root() string {
	return path.Join(p.agent.config.WorkDir, "csi", p.info.Type, p.info.Name)
}

func (p *csiPlugin) mounts() string {
	if p.info.TargetPathRoot != "" {
		return p.info.TargetPathRoot
	}
	return path.Join(p.root(), "mounts")
}

func (p *csiPlugin) staging(volume string) string {
	return path.Join(p.mounts(), encodeVolume(volume), "staging")
}

func (p *csiPlugin) target(volume string) string {
	return path.Join(p.mounts(), encodeVolume(volume), "target")
}

// turn has calls about a volume wait for each other; those about different ones
// go side by side.
func (p *csiPlugin) turn(volume string) (done func()) {
	p.busyMu.Lock()
	m, ok := p.busy[volume]
	if !ok {
		m = new(sync.Mutex)
		p.busy[volume] = m
	}
	p.busyMu.Unlock()
	m.Lock()
	return m.Unlock
}

// publish stages and publishes a volume for a container, whether or not that was
// done for another one.
func (p *csiPlugin) publish(v CSIVolume) error {
	if err := p.initialize(); err != nil {
		return err
	}
	defer p.turn(v.ID)()
	return p.bring(&csiState{Volume: v, State: csiNodeReady})
}

// bring takes a volume to where it is published.
func (p *csiPlugin) bring(s *csiState) error {
	node := spec.NewNodeClient(p.conn)
	capability, err := s.Volume.capability()
	if err != nil {
		return err
	}
	staging, target := p.staging(s.Volume.ID), p.target(s.Volume.ID)
	for _, dir := range []string{staging, path.Dir(target)} {
		if err := os.MkdirAll(p.agent.host.Path(dir), 0o755); err != nil {
			return err
		}
	}
	if p.stage && (s.State == csiNodeReady || s.State == csiNodeStage) {
		if err := p.save(s, csiNodeStage); err != nil {
			return err
		}
		err := csiCall(p, s.Volume.ID, node.NodeStageVolume, &spec.NodeStageVolumeRequest{
			VolumeId: s.Volume.ID, StagingTargetPath: staging, VolumeCapability: capability, VolumeContext: s.Volume.Context,
		})
		if err != nil {
			return err
		}
	}
	if err := p.save(s, csiNodePublish); err != nil {
		return err
	}
	if p.info.TargetPathExists {
		if err := os.MkdirAll(p.agent.host.Path(target), 0o755); err != nil {
			return err
		}
	}
	err = csiCall(p, s.Volume.ID, node.NodePublishVolume, &spec.NodePublishVolumeRequest{
		VolumeId: s.Volume.ID, StagingTargetPath: staging, TargetPath: target, VolumeCapability: capability,
		Readonly: s.Volume.ReadOnly, VolumeContext: s.Volume.Context,
	})
	if err != nil {
		return err
	}
	s.PublishRequired = true
	return p.save(s, csiPublished)
}

// unpublish takes a volume down, as far as it is up. The caller has the volume's turn.
func (p *csiPlugin) unpublish(volume string) error {
	if err := p.initialize(); err != nil {
		return err
	}
	s, err := p.load(volume)
	if err != nil || s == nil {
		return err
	}
	node := spec.NewNodeClient(p.conn)
	switch s.State {
	case csiNodePublish, csiPublished, csiNodeUnpublish:
		if err := p.save(s, csiNodeUnpublish); err != nil {
			return err
		}
		if err := csiCall(p, volume, node.NodeUnpublishVolume, &spec.NodeUnpublishVolumeRequest{
			VolumeId: volume, TargetPath: p.target(volume),
		}); err != nil {
			return err
		}
		if _, err := os.Lstat(p.agent.host.Path(p.target(volume))); err == nil && !p.info.TargetPathExists {
			return fmt.Errorf("the plugin has left '%s' behind", p.target(volume))
		}
		s.PublishRequired = false
		fallthrough
	case csiNodeStage, csiNodeUnstage:
		if !p.stage {
			break
		}
		if err := p.save(s, csiNodeUnstage); err != nil {
			return err
		}
		if err := csiCall(p, volume, node.NodeUnstageVolume, &spec.NodeUnstageVolumeRequest{
			VolumeId: volume, StagingTargetPath: p.staging(volume),
		}); err != nil {
			return err
		}
	}
	return p.forget(volume)
}

// recover publishes again what was published when the agent died, also for
// volumes that no container uses any more: those are taken down after that.
func (p *csiPlugin) recover() error {
	states, err := p.all()
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Boot != p.agent.host.BootID() {
			s.State = csiNodeReady // nothing of it can be left
		}
		if !s.PublishRequired || s.State == csiPublished {
			continue
		}
		if s.State == csiNodeUnpublish {
			if err := csiCall(p, s.Volume.ID, spec.NewNodeClient(p.conn).NodeUnpublishVolume, &spec.NodeUnpublishVolumeRequest{
				VolumeId: s.Volume.ID, TargetPath: p.target(s.Volume.ID),
			}); err != nil {
				return err
			}
		}
		if err := p.bring(s); err != nil {
			return err
		}
	}
	return nil
}
