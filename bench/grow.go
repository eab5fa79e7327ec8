package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
)

// benchGrow measures how a mounted volume becomes larger: from the moment at
// which the agent is told, until it has reported that the file system has the
// new size. By hand, it is three programs one after the other.
func benchGrow(s settings) ([]result, error) {
	m, err := newMachine(s.dir, 8)
	if err != nil {
		return nil, err
	}
	var ours, hand series
	for i := range s.rounds {
		if err := m.growRound(fmt.Sprintf("v%d", i), &ours); err != nil {
			return nil, err
		}
		if err := handRound(s.dir, fmt.Sprintf("hand-v%d", i), &hand); err != nil {
			return nil, err
		}
	}
	return []result{
		ratio("", "1 GiB XFS in use grows to 2 GiB: agent / truncate, sync, losetup -c, xfs_growfs", 1, ours, hand),
	}, m.close()
}

func (m *machine) growRound(name string, s *series) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.upAs(api.VolumeRequest{Key: "data", Name: name, Size: gigabyte, FS: api.FSXFS}); err != nil {
		return err
	}
	id := m.control.Dataset(name).ID
	if err := use(filepath.Join(m.config.MountRoot, string(id))); err != nil {
		return err
	}
	if err := timed(s, func() error {
		m.control.Change(id, func(d *api.Dataset) { d.Size = 2 * gigabyte })
		return m.control.Await(ctx, func(c *agenttest.Control) bool { return c.Get(id).Volume.Size == 2*gigabyte })
	}); err != nil {
		return err
	}
	return inOrder(func() error { return m.down(name) }, func() error { return m.remove(name) })
}

func handRound(dir, name string, s *series) error {
	v := &shellVolume{image: filepath.Join(dir, name+".img"), target: filepath.Join(dir, name+".mnt")}
	if err := os.Mkdir(v.target, 0o700); err != nil {
		return err
	}
	step := func(name string, args ...string) func() error {
		return func() error {
			_, err := shell(name, args...)
			return err
		}
	}
	if err := inOrder(
		step("truncate", "-s", fmt.Sprint(gigabyte), v.image),
		func() (err error) {
			v.device, err = shell("losetup", "-f", "--direct-io=on", "--show", v.image)
			return err
		},
	); err != nil {
		return err
	}
	if err := inOrder(step("mkfs.xfs", "-q", v.device), step("mount", v.device, v.target), func() error { return use(v.target) }); err != nil {
		return err
	}
	if err := timed(s, func() error {
		return inOrder(
			step("truncate", "-s", fmt.Sprint(2*gigabyte), v.image),
			step("sync", v.image),
			step("losetup", "-c", v.device),
			step("xfs_growfs", v.target),
		)
	}); err != nil {
		return err
	}
	return errors.Join(v.down(), v.remove())
}
