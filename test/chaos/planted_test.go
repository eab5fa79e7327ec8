package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// planted are defects that this project once had, each with the faults that bring it
// to light and with what chaos must say then.
var planted = []struct {
	name     string
	patches  []lab.Patch
	plan     func(begin, end time.Duration) []event
	longest  time.Duration // that a consumer uses a volume
	findings []string      // any of which
}{
	// A timer outlives its dataset, and what acts for a forgotten dataset drops its
	// successor, with the successor's consumers.
	{
		name: "forget-deletes-by-id",
		patches: []lab.Patch{
			{File: "agent/engine.go", Old: "func (e *engine) tracks(d *dataset) bool { return e.datasets[d.id] == d }", New: "func (e *engine) tracks(*dataset) bool { return true }"},
			{File: "agent/plan.go", Old: "		d.stopRetry()\n		delete(", New: "		e.retryAfter(d, 2*time.Second)\n		delete("},
			{File: "agent/plan.go", Old: "&& e.recall(d)", New: "&& false"},
		},
		plan:     serviceGone,
		longest:  4 * time.Second, // so that timers fire within uses
		findings: []string{"the volume is not mounted", "was taken from", "and its holder is"},
	},
	// nodes lost without --force begins the fence of a node that has the volume in use.
	{
		name: "a-word-against-certainty",
		patches: []lab.Patch{
			{File: "agent/fence.go", Old: "	case f.Vouched && verdict == backend.MayWrite:\n", New: "	case f.Vouched:\n"},
			{File: "agent/fence.go", Old: "	case f.Vouched:\n		return &heldBackError{evidence + ", New: "	case f.Forced:\n		return &heldBackError{evidence + "},
		},
		plan:     wordsGiven,
		longest:  10 * time.Second, // so that uses outlast the faults
		findings: []string{"the volume is not mounted", "was taken from"},
	},
}

// steered are the options of a run of a plan, with few volumes, so that many want each.
func steered(t *testing.T, programs *lab.Programs, plan []event, longest time.Duration) options {
	last := plan[len(plan)-1]
	return options{
		seed: 1, length: last.At + last.For + 4*time.Second, programs: programs, root: "../..", dir: t.ArtifactDir(), logf: t.Logf,
		plan: plan, longest: longest, volumes: 3,
	}
}

// serviceGone kills all replicas now and then: what the agents are at fails, and goes
// on when they are back.
func serviceGone(begin, end time.Duration) (plan []event) {
	for at := begin; at < end; at += 10 * time.Second {
		plan = append(plan, event{At: at, For: time.Second, Kind: controlKilled, Hosts: []string{"control", "control2", "control3"}})
	}
	return plan
}

// wordsGiven has an operator declare one node after the other lost while it is only cut off.
func wordsGiven(begin, end time.Duration) (plan []event) {
	for i, at := 0, begin; at < end; i, at = i+1, at+6*time.Second {
		plan = append(plan, event{At: at, For: 4 * time.Second, Kind: nodeDeclared, Hosts: []string{fmt.Sprint("node", 1+i%nodeCount)}})
	}
	return plan
}

// TestPlantedDefectsAreFound runs programs with a defect until something is found, for
// some minutes at the most.
func TestPlantedDefectsAreFound(t *testing.T) {
	for _, c := range planted {
		t.Run(c.name, func(t *testing.T) {
			programs, err := lab.BuildPlanted(t.Context(), c.name, c.patches, cluster.Packages...)
			if err != nil {
				t.Fatal(err)
			}
			o := steered(t, programs, c.plan(2*time.Second, 5*time.Minute), c.longest)
			o.first = true
			result, err := play(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(result.anomalies, "\n")
			if !slices.ContainsFunc(c.findings, func(f string) bool { return strings.Contains(all, f) }) {
				t.Errorf("got anomalies %q, want one of %q", result.anomalies, c.findings)
			}
			result.print(t.Output())
		})
	}
}

// TestSoundProgramsPassTheSamePlans runs these faults on the programs as they are.
func TestSoundProgramsPassTheSamePlans(t *testing.T) {
	programs, err := lab.Build(t.Context(), lab.Faulty, cluster.Packages...)
	if err != nil {
		t.Fatal(err)
	}
	const each = 25 * time.Second
	var plan []event
	for i, c := range planted {
		begin := 2*time.Second + time.Duration(i)*(each+5*time.Second)
		plan = append(plan, c.plan(begin, begin+each)...)
	}
	result, err := play(t.Context(), steered(t, programs, plan, 4*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.anomalies) > 0 {
		t.Errorf("got anomalies %q", result.anomalies)
		result.print(t.Output())
	}
}
