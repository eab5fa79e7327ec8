package main

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The two populations of P9, and of how many moves.
const (
	fewAgents, fewDatasets   = 10, 100
	manyAgents, manyDatasets = 1000, 10_000
	movesARound              = 20
	idleTime                 = 20 * time.Second
	restarts                 = 5
)

// Limits of P9 that are no ratio of two times.
const (
	idleLimit       = 2.0 // per cent of a core
	bytesAnAgent    = 100 << 10
	bytesADataset   = 2 << 10
	reattachedLimit = 5 * time.Second
)

// benchScale measures what a change costs beside many agents and datasets and
// beside few, in turns; then what many cost while nothing happens, and when the
// control service dies.
func benchScale(s settings) ([]result, error) {
	if err := raiseFileLimit(); err != nil {
		return nil, err
	}
	certs, err := makeCertificates(filepath.Join(s.dir, "certs"), manyAgents)
	if err != nil {
		return nil, err
	}
	few, err := scaleOf(s, certs, fewAgents, fewDatasets)
	if err != nil {
		return nil, err
	}
	many, err := scaleOf(s, certs, manyAgents, manyDatasets)
	if err != nil {
		return nil, err
	}
	results, err := compareMoves(few, many, s.rounds)
	if err != nil {
		return nil, err
	}
	idle, err := idleOf(many)
	if err != nil {
		return nil, err
	}
	back, err := reattach(many)
	if err != nil {
		return nil, err
	}
	if err := few.close(); err != nil {
		return nil, err
	}
	return append(append(results, idle...), back), many.close()
}

// scaleOf makes a population of its own control service, whose log is a file:
// the quickest, so that what the numbers cost shows most.
func scaleOf(s settings, certs *certificates, agents, datasets int) (*population, error) {
	dir := filepath.Join(s.dir, fmt.Sprintf("%d-agents", agents))
	c, err := newControl(s, dir, certs, fileStore(dir))
	if err != nil {
		return nil, err
	}
	return newPopulation(c, c.agents, certs.nodes[:agents], datasets)
}

func compareMoves(few, many *population, rounds int) ([]result, error) {
	var fewTold, manyTold, fewMounted, manyMounted series
	for range rounds * movesARound {
		for _, p := range []struct {
			*population
			told, mounted *series
		}{{few, &fewTold, &fewMounted}, {many, &manyTold, &manyMounted}} {
			took, err := p.move()
			if err != nil {
				return nil, err
			}
			*p.told, *p.mounted = append(*p.told, took.told), append(*p.mounted, took.mounted)
		}
	}
	beside := fmt.Sprintf("%d agents, %d volumes / %d, %d", manyAgents, manyDatasets, fewAgents, fewDatasets)
	p99 := manyTold.quantile(0.99)
	return []result{
		ratio("P9", "change to agent: "+beside, 1.3, manyTold, fewTold),
		{
			goal: "P9", what: "change to agent, many: p99 / p50", limit: 5, value: float64(p99) / float64(manyTold.median()),
			ours: fmt.Sprintf("%s (few: %s)", short(p99), short(fewTold.quantile(0.99))), floor: short(manyTold.median()),
		},
		ratio("", "move until mounted: "+beside, 0, manyMounted, fewMounted),
	}, nil
}

// idleOf measures a control service whose agents have nothing to say.
func idleOf(p *population) ([]result, error) {
	before, err := p.control.process.cpu()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	<-time.After(idleTime)
	took := time.Since(begin)
	after, err := p.control.process.cpu()
	if err != nil {
		return nil, err
	}
	heap, err := p.control.metric("go_memstats_heap_alloc_bytes")
	if err != nil {
		return nil, err
	}
	resident, err := p.control.process.resident()
	if err != nil {
		return nil, err
	}
	allowed := float64(len(p.nodes)*bytesAnAgent + len(p.datasets)*bytesADataset)
	return []result{
		{
			goal: "P9", what: fmt.Sprintf("idle control service with %d agents, %% of a core", len(p.nodes)), limit: idleLimit,
			value: 100 * float64(after-before) / float64(took), ours: short(after - before), floor: short(took),
		},
		{
			goal: "P9", what: "its heap, garbage included / 100 KiB an agent + 2 KiB a dataset", limit: 1, value: heap / allowed,
			ours: fmt.Sprintf("%s (%s resident)", mebibytes(heap), mebibytes(float64(resident))), floor: mebibytes(allowed),
		},
	}, nil
}

// reattach kills the control service and starts it again, some times, and
// measures until all agents have streams again.
func reattach(p *population) (result, error) {
	var back series
	for range restarts {
		p.control.process.kill()
		begin := time.Now()
		if err := timed(&back, func() error {
			if err := p.control.launch(); err != nil {
				return err
			}
			ctx, cancel := patiently()
			defer cancel()
			return p.fleet.AwaitAttached(ctx, begin)
		}); err != nil {
			return result{}, err
		}
	}
	return ratio("P9", fmt.Sprintf("control service killed and started, until %d agents are attached / 5 s", len(p.nodes)), 1,
		back, series{reattachedLimit}), nil
}

func mebibytes(n float64) string { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }

// raiseFileLimit lets this process, and what it starts, have a connection a
// played agent.
func raiseFileLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of open files to %d: %w", limit.Max, err)
	}
	return nil
}
