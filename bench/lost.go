package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/test/consul"
	"github.com/flocker-mesos/flocker/test/lab"
)

// How soon a node of P13 is missed: after three heartbeats.
const (
	lostHeartbeat = 500 * time.Millisecond
	lostPeriod    = 3 * lostHeartbeat
)

// benchLost measures how a volume follows its user when the power of its node
// is cut: until the node is missed, and from then until the volume is mounted
// on another one.
func benchLost(s settings) ([]result, error) {
	return withConsul(s, func(c *consul.Cluster) ([]result, error) {
		st, err := newStack(s, c, "heartbeat: "+lostHeartbeat.String())
		if err != nil {
			return nil, err
		}
		var f lostFigures
		for i := range max(s.rounds*3/4, 30) {
			if err := st.lostRound(i, &f); err != nil {
				return nil, fmt.Errorf("%w\n%s\n%s", err, st.two.process.lastWords(), st.control.process.lastWords())
			}
		}
		return []result{
			ratio("P13", "power of a node cut, until it is missed / three heartbeats", 1.2, f.missed, series{lostPeriod}),
			ratio("P13", "from then, until mounted on another node / attach, check and mount what was cut off, 3 commits", 1.5, f.mounted, f.floor),
			ratio("", "the floor / the same without the check", 0, f.floor, f.unchecked),
		}, st.close()
	})
}

type lostFigures struct{ missed, mounted, floor, unchecked series }

func (st *stack) lostRound(i int, f *lostFigures) error {
	ctx, cancel := patiently()
	defer cancel()
	if err := st.awaitNode(ctx, st.one); err != nil {
		return err
	}
	id := api.DatasetID(fmt.Sprintf("b0000000-0000-4000-9000-%012d", i+1))
	if err := st.up(ctx, id); err != nil {
		return fmt.Errorf("create dataset: %w", err)
	}
	detail, err := st.user.Volume(ctx, string(id))
	if err != nil {
		return err
	}
	if err := use(st.one.path(id)); err != nil {
		return err
	}
	if err := st.one.cutPower(st.one.path(id), detail.State.Device); err != nil {
		return fmt.Errorf("cut power: %w", err)
	}
	if err := st.follow(ctx, id, f); err != nil {
		return fmt.Errorf("follow to the other node: %w", err)
	}
	if _, err := os.Stat(filepath.Join(st.two.path(id), "row")); err != nil {
		return fmt.Errorf("what was written and flushed is gone: %w", err)
	}
	if err := st.remove(ctx, id); err != nil {
		return fmt.Errorf("delete dataset: %w", err)
	}
	if err := st.one.launch(); err != nil {
		return err
	}
	name := fmt.Sprintf("v%d", i)
	if err := st.rawLost(ctx, name, &f.floor, true); err != nil {
		return err
	}
	return st.rawLost(ctx, "unchecked-"+name, &f.unchecked, false)
}

// awaitNode waits until a node is connected.
func (st *stack) awaitNode(ctx context.Context, n *node) error {
	return lab.Until(ctx, "the node is connected", func() error {
		nodes, err := st.user.Nodes(ctx)
		if err != nil {
			return err
		}
		for _, known := range nodes {
			if known.ID == n.id && known.Connected {
				return nil
			}
		}
		return errors.New("it is not")
	})
}

// follow has the user move a dataset away from a node whose power was just cut.
func (st *stack) follow(ctx context.Context, id api.DatasetID, f *lostFigures) error {
	begin := time.Now()
	if _, err := st.user.Move(ctx, id, st.two.id, ""); err != nil {
		return err
	}
	var missed time.Time
	_, err := st.user.AwaitVolume(ctx, string(id), func(d *api.DatasetDetail) bool {
		if missed.IsZero() && (d.Holder == nil || !d.Holder.Connected || d.Holder.ID != st.one.id) {
			missed = time.Now()
		}
		return d.Status == string(cluster.StatusMounted) && d.State.Node == st.two.id
	})
	if err != nil {
		return err
	}
	f.missed, f.mounted = append(f.missed, missed.Sub(begin)), append(f.mounted, time.Since(missed))
	return nil
}

// cutPower ends the agent, and takes from this machine what a machine without
// power has no more: a mount, and the device below it. Nothing is written to it
// any more, so the file system is as a power cut leaves it.
func (n *node) cutPower(mountpoint, device string) error {
	if err := forsake(mountpoint); err != nil {
		return err
	}
	n.process.kill()
	if err := unix.Unmount(mountpoint, 0); err != nil {
		return err
	}
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
}

// forsake stops a file system from writing anything more, its journal included.
func forsake(mountpoint string) error {
	const (
		shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
		noLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	dir, err := os.Open(mountpoint)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, noLogFlush)
}

// rawLost measures what it takes, with nothing around it, to have a volume
// again whose power was cut: with the check that every system makes at its
// start, or without.
func (st *stack) rawLost(ctx context.Context, name string, s *series, check bool) error {
	v, err := rawUp(st.dir, name)
	if err != nil {
		return err
	}
	if err := errors.Join(use(v.target), forsake(v.target), v.down()); err != nil {
		return err
	}
	if err := timed(s, func() error {
		return inOrder(
			func() error { return st.consul.commit(ctx) },
			func() error { return st.consul.commit(ctx) },
			v.attachAgain,
			func() error {
				if !check {
					return nil
				}
				return v.check()
			},
			v.mountAgain,
			func() error { return st.consul.commit(ctx) },
		)
	}); err != nil {
		return err
	}
	return errors.Join(v.down(), v.remove())
}
