package main

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// A batch of P8: this many volumes up and down with so many workers.
const (
	batch   = 40
	workers = 8
)

// benchParallel measures volumes a second, up and down.
func benchParallel(s settings) ([]result, error) {
	many, err := newMachine(filepath.Join(s.dir, "many"), workers)
	if err != nil {
		return nil, err
	}
	one, err := newMachine(filepath.Join(s.dir, "one"), 1)
	if err != nil {
		return nil, err
	}
	var ours, alone, raw series
	rounds := max(s.rounds*3/4, 30)
	for round := range rounds {
		if err := batchOf(&ours, workers, machineCycle(many, round)); err != nil {
			return nil, err
		}
		if err := batchOf(&alone, 1, machineCycle(one, round)); err != nil {
			return nil, err
		}
		if err := batchOf(&raw, workers, func(i int) error {
			v, err := rawUp(s.dir, fmt.Sprintf("raw-%d-%d", round, i))
			if err != nil {
				return err
			}
			if err := v.down(); err != nil {
				return err
			}
			return v.remove()
		}); err != nil {
			return nil, err
		}
	}
	results := []result{
		rate("P8", fmt.Sprintf("volumes/s, %d workers: agent / system calls", workers), 0.9, batch, ours, raw),
		rate("P8", fmt.Sprintf("volumes/s: agent with %d workers / with 1", workers), 1.8, batch, ours, alone),
	}
	if err := many.close(); err != nil {
		return nil, err
	}
	return results, one.close()
}

// machineCycle brings a volume up and down, and removes it.
func machineCycle(m *machine, round int) func(i int) error {
	return func(i int) error {
		name := fmt.Sprintf("v%d-%d", round, i)
		if err := m.up(name, gigabyte); err != nil {
			return err
		}
		if err := m.down(name); err != nil {
			return err
		}
		return m.remove(name)
	}
}

// batchOf adds the time of a batch of cycles, so many at a time.
func batchOf(s *series, atOnce int, cycle func(i int) error) error {
	return timed(s, func() error {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i := range batch {
			g.Go(func() error { return cycle(i) })
		}
		return g.Wait()
	})
}

// rate makes a result of so much a second, of the times of batches of it: the
// floor's time over ours.
func rate(goal, what string, limit float64, batch int, ours, floor series) result {
	perSecond := func(d time.Duration) float64 { return float64(batch) / d.Seconds() }
	return result{
		goal: goal, what: what, limit: limit, least: true,
		value: float64(floor.median()) / float64(ours.median()),
		ours: fmt.Sprintf("%.0f/s (%.0f-%.0f, n=%d)", perSecond(ours.median()), perSecond(ours.quantile(0.9)),
			perSecond(ours.quantile(0.1)), len(ours)),
		floor: fmt.Sprintf("%.0f/s (%.0f-%.0f)", perSecond(floor.median()), perSecond(floor.quantile(0.9)),
			perSecond(floor.quantile(0.1))),
	}
}
