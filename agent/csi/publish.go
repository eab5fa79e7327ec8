package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// NodePublishVolume makes a staged volume visible at the target path.
func (n *node) NodePublishVolume(ctx context.Context, req *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	want, err := parseVolume(req.GetVolumeId(), req.GetVolumeCapability(), req.GetVolumeContext())
	if err != nil {
		return nil, err
	}
	if req.GetReadonly() {
		want.add("ro", unix.MS_RDONLY)
	}
	staging, path := req.GetStagingTargetPath(), req.GetTargetPath()
	rec, done, err := n.begin(ctx, want.Name, "target_path", path)
	if err != nil {
		return nil, err
	}
	defer done()
	if !slices.Contains(rec.Staging, staging) {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not staged at %q since this machine was started: stage it first", want.Name, staging)
	}
	if rec.Recovery != "" {
		return &spec.NodePublishVolumeResponse{}, n.publishPlaceholder(rec, staging, path)
	}
	// It is there already, unless the agent has been restarted since.
	mount, err := n.bring(ctx, want.VolumeRequest)
	if err != nil {
		return nil, err
	}
	return &spec.NodePublishVolumeResponse{}, n.publish(rec, want, mount, staging, path)
}

// publish binds a volume that is mounted at a path.
func (n *node) publish(rec *record, want wanted, mount api.Mount, staging, path string) error {
	at, err := lookAt(path)
	if err != nil {
		return err
	}
	known, published := rec.Targets[path]
	switch {
	case at.mounted && at.Device == mount.Device:
		options := known.Options
		if !published && at.ReadOnly {
			options = []string{"ro"}
		}
		if !slices.Equal(options, want.options) {
			return conflict(want, path, options)
		}
	case at.mounted && published && at.Device == known.Device:
		// Of an earlier time that the volume was here.
		if err := host.Unmount(path); err != nil {
			return err
		}
	case at.mounted:
		return status.Errorf(codes.FailedPrecondition, "something else is mounted at %s (device %d:%d): volume %s does not hide it",
			path, unix.Major(at.Device), unix.Minor(at.Device), want.Name)
	}
	if rec.Targets == nil {
		rec.Targets = map[string]target{}
	}
	if now := (target{Staging: staging, Options: want.options, Device: mount.Device}); !published || !known.equal(now) {
		rec.Targets[path] = now
		if err := n.Records.put(rec); err != nil {
			return err
		}
	}
	if at.mounted && at.Device == mount.Device {
		return nil
	}
	if err := makeTarget(path, at); err != nil {
		return err
	}
	if err := bind(want, mount, path); err != nil {
		return err
	}
	n.Log.Info("volume published", "volume", want.Name, "dataset", mount.DatasetID, "target", path, "options", strings.Join(want.options, ","))
	return nil
}

// bind makes sure that it is the volume that gets to the target: a volume that
// another node preempts goes at any time.
func bind(want wanted, mount api.Mount, path string) error {
	if err := host.BindWith(mount.Source, path, want.flags); err != nil {
		return err
	}
	fault.Point("csi.bound")
	at, mounted, err := host.Mounted(path)
	if err != nil {
		return err
	}
	if mounted && at.Device == mount.Device {
		return nil
	}
	if err := host.Unmount(path); err != nil {
		return err
	}
	return status.Errorf(codes.Aborted, "volume %s is not at %s any more", want.Name, mount.Source)
}

// conflict refuses to have a volume at one path in two ways. Mesos has one path
// for all containers of a node.
func conflict(want wanted, path string, has []string) error {
	how := func(options []string) string {
		if !slices.Contains(options, "ro") {
			options = append([]string{"rw"}, options...)
		}
		return strings.Join(options, ",")
	}
	return status.Errorf(codes.AlreadyExists, "volume %s is published at %s as %s, for containers that run here, and cannot be there as %s at the same time: "+
		"let all containers of a machine ask for the same mode and the same mount flags", want.Name, path, how(has), how(want.options))
}

// NodeUnpublishVolume takes a volume from a target path and removes that.
func (n *node) NodeUnpublishVolume(ctx context.Context, req *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	volume, path := req.GetVolumeId(), req.GetTargetPath()
	if err := checkID(volume); err != nil {
		return nil, err
	}
	rec, done, err := n.begin(ctx, volume, "target_path", path)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := n.unpublish(ctx, rec, path); err != nil {
		return nil, err
	}
	if _, published := rec.Targets[path]; !published {
		return &spec.NodeUnpublishVolumeResponse{}, nil
	}
	delete(rec.Targets, path)
	if err := n.Records.put(rec); err != nil {
		return nil, err
	}
	n.Log.Info("volume unpublished", "volume", volume, "target", path)
	return &spec.NodeUnpublishVolumeResponse{}, nil
}

// unpublish leaves nothing at a path, if what is there is the volume's.
func (n *node) unpublish(ctx context.Context, rec *record, path string) error {
	at, err := lookAt(path)
	if err != nil {
		return err
	}
	if at.mounted {
		if known, ok := rec.Targets[path]; !ok || known.Device != at.Device {
			return status.Errorf(codes.FailedPrecondition, "what is mounted at %s (device %d:%d) is not volume %s: it stays there",
				path, unix.Major(at.Device), unix.Minor(at.Device), rec.Volume)
		}
		if err := host.Unmount(path); err != nil {
			if errors.Is(err, host.ErrBusy) {
				finding := n.holders.Find(ctx, host.Subject{Device: at.Device, Target: path, Mounted: true})
				err = fmt.Errorf("%w: %s", err, finding.Text())
			}
			return fmt.Errorf("volume %s: %w", rec.Volume, err)
		}
		fault.Point("csi.unbound")
	}
	return removeTarget(path)
}

func (t target) equal(o target) bool {
	return t.Staging == o.Staging && t.Device == o.Device && t.Placeholder == o.Placeholder && slices.Equal(t.Options, o.Options)
}
