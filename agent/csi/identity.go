package csi

import (
	"context"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// identity says who this plugin is.
type identity struct {
	spec.UnimplementedIdentityServer
	version string
}

func (i *identity) GetPluginInfo(context.Context, *spec.GetPluginInfoRequest) (*spec.GetPluginInfoResponse, error) {
	return &spec.GetPluginInfoResponse{Name: PluginName, VendorVersion: i.version}, nil
}

// GetPluginCapabilities announces nothing: there is no controller, and a
// volume can be wanted on any node.
func (i *identity) GetPluginCapabilities(context.Context, *spec.GetPluginCapabilitiesRequest) (*spec.GetPluginCapabilitiesResponse, error) {
	return &spec.GetPluginCapabilitiesResponse{}, nil
}

// Probe says that the plugin is ready: its socket is there only once the agent
// knows what is on this node. That the control service cannot be reached is no
// reason to be restarted or left out: what this node holds, it can serve.
func (i *identity) Probe(context.Context, *spec.ProbeRequest) (*spec.ProbeResponse, error) {
	return &spec.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}
