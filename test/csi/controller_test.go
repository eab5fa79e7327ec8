package csi

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// withController stands before the agent's socket and adds a controller that does
// nothing, without which the suite leaves out most of what it has for nodes. It
// returns the socket to call instead.
func withController(t *testing.T, socket string) string {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "both.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	spec.RegisterIdentityServer(server, &identity{agent: spec.NewIdentityClient(conn)})
	spec.RegisterNodeServer(server, &node{agent: spec.NewNodeClient(conn)})
	spec.RegisterControllerServer(server, &controller{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
	return l.Addr().String()
}

// identity is the agent's, with a controller.
type identity struct {
	spec.UnimplementedIdentityServer
	agent spec.IdentityClient
}

func (i *identity) GetPluginInfo(ctx context.Context, r *spec.GetPluginInfoRequest) (*spec.GetPluginInfoResponse, error) {
	return i.agent.GetPluginInfo(ctx, r)
}

func (i *identity) Probe(ctx context.Context, r *spec.ProbeRequest) (*spec.ProbeResponse, error) {
	return i.agent.Probe(ctx, r)
}

func (i *identity) GetPluginCapabilities(ctx context.Context, r *spec.GetPluginCapabilitiesRequest) (*spec.GetPluginCapabilitiesResponse, error) {
	answer, err := i.agent.GetPluginCapabilities(ctx, r)
	if err != nil {
		return nil, err
	}
	answer.Capabilities = append(answer.Capabilities, &spec.PluginCapability{Type: &spec.PluginCapability_Service_{
		Service: &spec.PluginCapability_Service{Type: spec.PluginCapability_Service_CONTROLLER_SERVICE},
	}})
	return answer, nil
}

// node is the agent's.
type node struct {
	spec.UnimplementedNodeServer
	agent spec.NodeClient
}

func (n *node) NodeGetInfo(ctx context.Context, r *spec.NodeGetInfoRequest) (*spec.NodeGetInfoResponse, error) {
	return n.agent.NodeGetInfo(ctx, r)
}

func (n *node) NodeGetCapabilities(ctx context.Context, r *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	return n.agent.NodeGetCapabilities(ctx, r)
}

func (n *node) NodeStageVolume(ctx context.Context, r *spec.NodeStageVolumeRequest) (*spec.NodeStageVolumeResponse, error) {
	return n.agent.NodeStageVolume(ctx, r)
}

func (n *node) NodeUnstageVolume(ctx context.Context, r *spec.NodeUnstageVolumeRequest) (*spec.NodeUnstageVolumeResponse, error) {
	return n.agent.NodeUnstageVolume(ctx, r)
}

func (n *node) NodePublishVolume(ctx context.Context, r *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	return n.agent.NodePublishVolume(ctx, r)
}

func (n *node) NodeUnpublishVolume(ctx context.Context, r *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	return n.agent.NodeUnpublishVolume(ctx, r)
}

func (n *node) NodeGetVolumeStats(ctx context.Context, r *spec.NodeGetVolumeStatsRequest) (*spec.NodeGetVolumeStatsResponse, error) {
	return n.agent.NodeGetVolumeStats(ctx, r)
}

// controller calls a volume by the name that it is asked for. Nothing has to be
// made: staging does that.
type controller struct {
	spec.UnimplementedControllerServer
}

func (*controller) ControllerGetCapabilities(context.Context, *spec.ControllerGetCapabilitiesRequest) (*spec.ControllerGetCapabilitiesResponse, error) {
	return &spec.ControllerGetCapabilitiesResponse{}, nil
}

func (*controller) CreateVolume(_ context.Context, r *spec.CreateVolumeRequest) (*spec.CreateVolumeResponse, error) {
	if r.GetName() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume needs a name and capabilities")
	}
	return &spec.CreateVolumeResponse{Volume: &spec.Volume{
		VolumeId: r.GetName(), CapacityBytes: r.GetCapacityRange().GetRequiredBytes(), VolumeContext: map[string]string{"size": "64MiB"},
	}}, nil
}

func (*controller) DeleteVolume(context.Context, *spec.DeleteVolumeRequest) (*spec.DeleteVolumeResponse, error) {
	return &spec.DeleteVolumeResponse{}, nil
}
