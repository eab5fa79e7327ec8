package csi

import (
	"context"
	"slices"
	"strings"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// node does what has to be done on this node.
type node struct {
	spec.UnimplementedNodeServer
	*Server
	life context.Context // of the server, which calls do not outlive
}

func (n *node) NodeGetInfo(context.Context, *spec.NodeGetInfoRequest) (*spec.NodeGetInfoResponse, error) {
	return &spec.NodeGetInfoResponse{NodeId: string(n.Node)}, nil
}

func (n *node) NodeGetCapabilities(context.Context, *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	answer := new(spec.NodeGetCapabilitiesResponse)
	for _, c := range []spec.NodeServiceCapability_RPC_Type{
		spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME, spec.NodeServiceCapability_RPC_GET_VOLUME_STATS,
	} {
		answer.Capabilities = append(answer.Capabilities, &spec.NodeServiceCapability{
			Type: &spec.NodeServiceCapability_Rpc{Rpc: &spec.NodeServiceCapability_RPC{Type: c}},
		})
	}
	return answer, nil
}

// begin begins a call about a volume and a path: when it is the call's turn it has
// the volume's record, until done is called.
func (n *node) begin(ctx context.Context, volume, field, path string) (rec *record, done func(), err error) {
	if err := checkPath(field, path); err != nil {
		return nil, nil, err
	}
	if done, err = n.turns.take(ctx, volume); err != nil {
		return nil, nil, err
	}
	return n.Records.get(volume), done, nil
}

// NodeStageVolume makes the containers of this node consumers of a volume and
// brings it here. What takes longer than the caller waits is answered with the
// reason, and goes on: who stages again finds it further. Mesos does not, but
// unstages what it could not stage, and then the volume is let go of, as who
// wants it may well be on another node by then.
//
// Nothing is mounted at the staging path.
func (n *node) NodeStageVolume(ctx context.Context, req *spec.NodeStageVolumeRequest) (*spec.NodeStageVolumeResponse, error) {
	want, err := parseVolume(req.GetVolumeId(), req.GetVolumeCapability(), req.GetVolumeContext())
	if err != nil {
		return nil, err
	}
	staging := req.GetStagingTargetPath()
	rec, done, err := n.begin(ctx, want.Name, "staging_target_path", staging)
	if err != nil {
		return nil, err
	}
	defer done()
	if recovers(rec, staging) {
		return &spec.NodeStageVolumeResponse{}, n.stageRecovery(rec, staging)
	}
	known := slices.Contains(rec.Staging, staging)
	if !known || rec.Recovery != "" {
		rec.Recovery = ""
		if !known {
			rec.Staging = append(rec.Staging, staging)
		}
		if err := n.Records.put(rec); err != nil {
			return nil, err
		}
	}
	if _, err := n.bring(ctx, want.VolumeRequest); err != nil {
		return nil, err
	}
	n.Log.Info("volume staged", "volume", want.Name, "staging", staging)
	return &spec.NodeStageVolumeResponse{}, nil
}

// NodeUnstageVolume ends the use of a volume on this node. Whoever has
// something mounted still keeps it from being let go of.
func (n *node) NodeUnstageVolume(ctx context.Context, req *spec.NodeUnstageVolumeRequest) (*spec.NodeUnstageVolumeResponse, error) {
	volume, staging := req.GetVolumeId(), req.GetStagingTargetPath()
	if err := checkID(volume); err != nil {
		return nil, err
	}
	rec, done, err := n.begin(ctx, volume, "staging_target_path", staging)
	if err != nil {
		return nil, err
	}
	defer done()
	for path, t := range rec.Targets {
		if t.Staging != staging || t.Placeholder {
			continue
		}
		at, mounted, err := host.Mounted(path)
		if err != nil {
			return nil, err
		}
		if mounted && at.Device == t.Device {
			return nil, status.Errorf(codes.FailedPrecondition, "volume %s is still published at %s: unpublish it first", volume, path)
		}
		delete(rec.Targets, path) // somebody else has unmounted it
	}
	rec.Staging = slices.DeleteFunc(rec.Staging, func(other string) bool { return other == staging })
	if len(rec.Staging) == 0 {
		rec.Recovery = ""
		if err := n.Volumes.Release(ctx, consumerOf(volume)); err != nil {
			return nil, err
		}
	}
	if err := n.Records.put(rec); err != nil {
		return nil, err
	}
	n.Log.Info("volume unstaged", "volume", volume, "staging", staging)
	return &spec.NodeUnstageVolumeResponse{}, nil
}

// awaitPause is how long it takes until a volume is waited for again when the
// agent's own limit for containers has passed, which is shorter than ours.
const awaitPause = time.Second

// bring makes this node's containers a consumer of a volume and waits until it
// is mounted.
func (n *node) bring(ctx context.Context, volume api.VolumeRequest) (api.Mount, error) {
	ctx, cancel := context.WithTimeout(ctx, n.patience(ctx))
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	consumer := consumerOf(volume.Name)
	if err := n.acquire(ctx, consumer, volume); err != nil {
		return api.Mount{}, err
	}
	why := "it is on its way"
	for {
		mounts, err := n.Volumes.Await(ctx, consumer, func(text string) { why, _, _ = strings.Cut(text, " Waiting, for ") })
		switch {
		case err == nil && len(mounts) == 1 && mounts[0].Ready:
			return mounts[0], nil
		case err == nil:
			return api.Mount{}, api.Errorf(api.CodeInternal, "volume %s is ready, and is not mounted", volume.Name)
		case api.CodeOf(err) == api.CodeUnavailable:
			why = err.Error()
			select {
			case <-time.After(awaitPause):
				continue
			case <-ctx.Done():
			}
		case ctx.Err() == nil:
			return api.Mount{}, err
		}
		return api.Mount{}, status.Errorf(codes.Aborted, "%s; the volume stays wanted on this node until it is unstaged", strings.TrimSuffix(why, "."))
	}
}

// acquire makes the containers a consumer. It retries while the control service is
// away, as the other front doors do.
func (n *node) acquire(ctx context.Context, consumer string, volume api.VolumeRequest) error {
	for {
		_, err := n.Volumes.Acquire(ctx, api.AcquireRequest{
			Consumer: consumer, Kind: api.ConsumerCSI, Volumes: []api.VolumeRequest{volume},
		})
		if api.CodeOf(err) != api.CodeUnavailable {
			return err
		}
		select {
		case <-time.After(awaitPause):
		case <-ctx.Done():
			return err
		}
	}
}

// patience is how long a call may take: the caller must hear the answer before
// it gives up.
func (n *node) patience(ctx context.Context) time.Duration {
	limit := n.limit()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	return limit
}
