package csi

import (
	"context"
	"fmt"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/api"
)

// NodeGetVolumeStats says how full a published volume is.
func (n *node) NodeGetVolumeStats(_ context.Context, req *spec.NodeGetVolumeStatsRequest) (*spec.NodeGetVolumeStatsResponse, error) {
	volume, path := req.GetVolumeId(), req.GetVolumePath()
	if err := checkID(volume); err != nil {
		return nil, err
	}
	if path == "" {
		return nil, api.FieldErrorf("volume_path", "is missing")
	}
	rec := n.Records.get(volume)
	known, published := rec.Targets[path]
	if !published {
		return nil, status.Errorf(codes.NotFound, "volume %s is not published at %s", volume, path)
	}
	at, err := lookAt(path)
	if err != nil {
		return nil, err
	}
	if !at.mounted || at.Device != known.Device {
		return nil, status.Errorf(codes.NotFound, "volume %s is not mounted at %s", volume, path)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return nil, fmt.Errorf("ask how full volume %s is: %w", volume, err)
	}
	size := func(blocks uint64) int64 { return int64(blocks) * fs.Bsize }
	return &spec.NodeGetVolumeStatsResponse{Usage: []*spec.VolumeUsage{
		{Unit: spec.VolumeUsage_BYTES, Total: size(fs.Blocks), Available: size(fs.Bavail), Used: size(fs.Blocks - fs.Bfree)},
		{Unit: spec.VolumeUsage_INODES, Total: int64(fs.Files), Available: int64(fs.Ffree), Used: int64(fs.Files - fs.Ffree)},
	}}, nil
}
