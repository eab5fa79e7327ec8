package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/flocker-mesos/flocker/test/consul"
)

// besideAgents serve each of the two numbers of datasets of P5.
const besideAgents = 10

// benchBeside measures what one change costs beside many datasets and beside
// few, in turns: the time, the control service's processor, and the bytes to
// its agents and to Consul.
func benchBeside(s settings) ([]result, error) {
	return withConsul(s, func(c *consul.Cluster) ([]result, error) {
		certs, err := makeCertificates(filepath.Join(s.dir, "certs"), besideAgents)
		if err != nil {
			return nil, err
		}
		few, err := newCounted(s, certs, c, fewDatasets)
		if err != nil {
			return nil, err
		}
		many, err := newCounted(s, certs, c, manyDatasets)
		if err != nil {
			return nil, err
		}
		// In turns, one after another: each has its costs counted alone.
		for range s.rounds * movesARound / 4 {
			if err := few.move(); err != nil {
				return nil, err
			}
			if err := many.move(); err != nil {
				return nil, err
			}
		}
		beside := fmt.Sprintf(" of a move beside %d datasets / beside %d", manyDatasets, fewDatasets)
		return []result{
			ratio("P5", "time until the agent knows"+beside, 1.1, many.told, few.told),
			ratio("P5", "time until it is mounted"+beside, 1.1, many.mounted, few.mounted),
			ratio("P5", "control service's processor"+beside, 1.2, many.cpu, few.cpu),
			ratioOf("P5", "bytes to and from agents"+beside, 1.2, many.agentBytes, few.agentBytes),
			ratioOf("P5", "bytes to and from Consul"+beside, 1.2, many.consulBytes, few.consulBytes),
		}, joined(few.close, many.close)
	})
}

// countedPopulation is a population whose costs are counted.
type countedPopulation struct {
	*population
	consul, agents *relay

	told, mounted, cpu      series
	agentBytes, consulBytes amounts
}

func newCounted(s settings, certs *certificates, cluster *consul.Cluster, datasets int) (*countedPopulation, error) {
	toConsul, err := newRelay(leaderFirst(cluster)[0])
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("beside-%d", datasets)
	c, err := newControl(s, filepath.Join(s.dir, name), certs, consulStore(name, toConsul.address()))
	if err != nil {
		return nil, err
	}
	toAgents, err := newRelay(c.agents)
	if err != nil {
		return nil, err
	}
	p, err := newPopulation(c, toAgents.address(), certs.nodes, datasets)
	return &countedPopulation{population: p, consul: toConsul, agents: toAgents}, err
}

// move moves a dataset and adds what it cost.
func (p *countedPopulation) move() error {
	cpu, err := p.control.process.cpu()
	if err != nil {
		return err
	}
	agents, consul := p.agents.bytes(), p.consul.bytes()
	took, err := p.population.move()
	if err != nil {
		return err
	}
	after, err := p.control.process.cpu()
	if err != nil {
		return err
	}
	p.told, p.mounted = append(p.told, took.told), append(p.mounted, took.mounted)
	p.cpu = append(p.cpu, after-cpu)
	p.agentBytes = append(p.agentBytes, p.agents.bytes()-agents)
	p.consulBytes = append(p.consulBytes, p.consul.bytes()-consul)
	return nil
}

func (p *countedPopulation) close() error {
	err := p.population.close()
	p.agents.close()
	p.consul.close()
	return err
}

// amounts are numbers of bytes.
type amounts []int64

func (a amounts) quantile(q float64) int64 {
	sorted := slices.Sorted(slices.Values(a))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// String returns the median with the 10th and 90th percentile.
func (a amounts) String() string {
	return fmt.Sprintf("%d B (%d-%d, n=%d)", a.quantile(0.5), a.quantile(0.1), a.quantile(0.9), len(a))
}

// ratioOf makes a result of two numbers of bytes.
func ratioOf(goal, what string, limit float64, ours, floor amounts) result {
	return result{
		goal: goal, what: what, limit: limit, ours: ours.String(), floor: floor.String(),
		value: float64(ours.quantile(0.5)) / float64(floor.quantile(0.5)),
	}
}
