package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/flocker-mesos/flocker/agent"
)

// csiSocket is where the agent speaks CSI.
const csiSocket = "csi.sock"

// csiVolume is the one volume of the benchmark, with its paths.
type csiVolume struct {
	node            spec.NodeClient
	staging, target string
}

const csiName = "v"

var csiCapability = &spec.VolumeCapability{
	AccessType: &spec.VolumeCapability_Mount{Mount: &spec.VolumeCapability_MountVolume{}},
	AccessMode: &spec.VolumeCapability_AccessMode{Mode: spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
}

func (v *csiVolume) stage(ctx context.Context) error {
	_, err := v.node.NodeStageVolume(ctx, &spec.NodeStageVolumeRequest{
		VolumeId: csiName, StagingTargetPath: v.staging, VolumeCapability: csiCapability, VolumeContext: map[string]string{"size": "64MiB"},
	})
	return err
}

func (v *csiVolume) publish(ctx context.Context) error {
	_, err := v.node.NodePublishVolume(ctx, &spec.NodePublishVolumeRequest{
		VolumeId: csiName, StagingTargetPath: v.staging, TargetPath: v.target, VolumeCapability: csiCapability,
	})
	return err
}

func (v *csiVolume) unpublish(ctx context.Context) error {
	_, err := v.node.NodeUnpublishVolume(ctx, &spec.NodeUnpublishVolumeRequest{VolumeId: csiName, TargetPath: v.target})
	return err
}

func (v *csiVolume) unstage(ctx context.Context) error {
	_, err := v.node.NodeUnstageVolume(ctx, &spec.NodeUnstageVolumeRequest{VolumeId: csiName, StagingTargetPath: v.staging})
	return err
}

// csiFigures are what the rounds bring.
type csiFigures struct{ publish, again, unpublish, probe, bind series }

// benchCSI measures what publishing a volume that is staged costs, for the first
// container and for a further one, against a call that does nothing.
func benchCSI(s settings) ([]result, error) {
	run, err := os.MkdirTemp("/dev/shm", "flocker-bench-") // in memory, as /run is
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(run) }()
	m, err := newMachineWith(s.dir, workers, func(c *agent.Config) { c.CSISocket, c.RunDir = filepath.Join(s.dir, csiSocket), run })
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("unix://"+m.config.CSISocket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true))) // the agent has just been started
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	v := &csiVolume{node: spec.NewNodeClient(conn), staging: filepath.Join(s.dir, "staging"), target: filepath.Join(s.dir, "target")}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.stage(ctx); err != nil {
		return nil, err
	}
	var f csiFigures
	for i := range 10*s.rounds + warmUp {
		if i == warmUp {
			f = csiFigures{}
		}
		if err := f.round(ctx, m, v, spec.NewIdentityClient(conn)); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(v.unstage(ctx), m.releaseAll(), m.close()); err != nil {
		return nil, err
	}
	return []result{
		ratio("P15", "CSI: publish a staged volume / Probe", 1.5, f.publish, f.probe),
		ratio("", "the same / Probe, a directory, a bind mount", 0, f.publish, plus(f.probe, f.bind)),
		ratio("", "the same for a further container / Probe", 0, f.again, f.probe),
		ratio("", "unpublish / Probe", 0, f.unpublish, f.probe),
	}, nil
}

func (f *csiFigures) round(ctx context.Context, m *machine, v *csiVolume, identity spec.IdentityClient) error {
	steps := []struct {
		into *series
		do   func() error
	}{
		{&f.probe, func() error { _, err := identity.Probe(ctx, new(spec.ProbeRequest)); return err }},
		{&f.publish, func() error { return v.publish(ctx) }},
		{&f.again, func() error { return v.publish(ctx) }},
		{&f.unpublish, func() error { return v.unpublish(ctx) }},
		{&f.bind, func() error { return rawBind(m, v.target) }},
	}
	for _, step := range steps {
		if err := timed(step.into, step.do); err != nil {
			return err
		}
	}
	return errors.Join(unix.Unmount(v.target, 0), os.Remove(v.target))
}

// rawBind binds the volume at a new directory.
func rawBind(m *machine, target string) error {
	if err := os.Mkdir(target, 0o750); err != nil {
		return err
	}
	return unix.Mount(filepath.Join(m.config.MountRoot, string(m.control.Dataset(csiName).ID)), target, "", unix.MS_BIND, "")
}

// plus adds series round by round.
func plus(all ...series) series {
	sum := make(series, len(all[0]))
	for _, s := range all {
		for i, d := range s {
			sum[i] += d
		}
	}
	return sum
}
