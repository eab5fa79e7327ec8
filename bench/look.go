package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
)

// small is the size of the volumes of which there are many.
const small = 64 << 20

// fill mounts volumes until m has n.
func fill(m *machine, from, n int) error {
	var g errgroup.Group
	g.SetLimit(workers)
	for i := from; i < n; i++ {
		g.Go(func() error { return m.up(fmt.Sprintf("v%d", i), small) })
	}
	return g.Wait()
}

// empty takes down n volumes.
func empty(m *machine, n int) error {
	var g errgroup.Group
	g.SetLimit(workers)
	for i := range n {
		g.Go(func() error { return m.down(fmt.Sprintf("v%d", i)) })
	}
	return g.Wait()
}

// benchLook measures a look at one volume alone and beside many. The two
// cannot take turns; they run in one process, one after the other.
func benchLook(s settings) ([]result, error) {
	m, err := newMachine(s.dir, workers)
	if err != nil {
		return nil, err
	}
	look := func() (series, error) {
		id := m.control.Dataset("v0").ID
		var out series
		for range 50 * s.rounds {
			if err := timed(&out, func() error {
				phase, err := m.agent.Look(context.Background(), id)
				if err == nil && phase != api.PhaseMounted {
					err = fmt.Errorf("phase is %s", phase)
				}
				return err
			}); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if err := fill(m, 0, 1); err != nil {
		return nil, err
	}
	alone, err := look()
	if err != nil {
		return nil, err
	}
	if err := fill(m, 1, s.many); err != nil {
		return nil, err
	}
	beside, err := look()
	if err != nil {
		return nil, err
	}
	if err := empty(m, s.many); err != nil {
		return nil, err
	}
	return []result{
		ratio("P6", fmt.Sprintf("a look at a volume beside %d / beside 1", s.many), 1.2, beside, alone),
	}, m.close()
}

// benchRestart measures how an agent finds many mounted volumes again, against
// one read of the mount table and one pass over the block devices.
func benchRestart(s settings) ([]result, error) {
	m, err := newMachine(s.dir, workers)
	if err != nil {
		return nil, err
	}
	if err := fill(m, 0, s.many); err != nil {
		return nil, err
	}
	if err := m.stop(); err != nil {
		return nil, err
	}
	var ours, floor series
	for range s.rounds {
		if err := timed(&ours, func() error {
			a, err := m.open()
			if err != nil {
				return err
			}
			found, err := a.Survey(context.Background())
			if err == nil && found != s.many {
				err = fmt.Errorf("found %d of %d mounted volumes", found, s.many)
			}
			return errors.Join(err, a.Close())
		}); err != nil {
			return nil, err
		}
		if err := timed(&floor, rawSurvey); err != nil {
			return nil, err
		}
	}
	if err := m.start(); err != nil {
		return nil, err
	}
	if err := empty(m, s.many); err != nil {
		return nil, err
	}
	return []result{
		ratio("P7", fmt.Sprintf("agent restart with %d mounted volumes / mount table and sysfs read once", s.many), 1.5, ours, floor),
	}, m.close()
}

// rawSurvey reads the mount table and the backing file of every loop device.
func rawSurvey() error {
	if _, err := mountinfo.GetMounts(nil); err != nil {
		return err
	}
	devices, err := os.ReadDir("/sys/block")
	if err != nil {
		return err
	}
	for _, d := range devices {
		// A device that is not in use has no such file.
		_, _ = os.ReadFile(filepath.Join("/sys/block", d.Name(), "loop/backing_file"))
	}
	return nil
}
