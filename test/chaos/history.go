package main

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what clients have asked for and were told.
type history struct {
	begun time.Time

	mu     sync.Mutex
	ops    []porcupine.Operation
	counts map[string]int // of each verb and outcome
}

func newHistory() *history { return &history{begun: time.Now(), counts: map[string]int{}} }

// now is the time of the history, by the monotonic clock.
func (h *history) now() int64 { return int64(time.Since(h.begun)) }

// add adds an operation that has been answered, or of which no answer will come.
func (h *history) add(client int, in input, call int64, out output) {
	ended := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[fmt.Sprintf("%s: %s", in.verb, out.outcome)]++
	if out.outcome == unknown {
		if in.verb == verbRead {
			return // says nothing, changes nothing
		}
		ended = math.MaxInt64
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ended})
}

func (h *history) summary() (total int, lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(h.counts)) {
		total += h.counts[what]
		lines = append(lines, fmt.Sprintf("%s %d", what, h.counts[what]))
	}
	return total, lines
}

// checkLimit bounds the check of one group, whose cost grows fast with the
// number of operations that were never answered.
const checkLimit = time.Minute

// check checks every group of the history. What is wrong is drawn into files
// in dir. Undecided are groups whose check took too long.
func (h *history) check(dir string) (groups, undecided int, anomalies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := model()
	parts := partition(h.ops)
	m.Partition = nil // each group is checked by itself, so that each has a picture
	for _, ops := range parts {
		result, info := porcupine.CheckOperationsVerbose(m, ops, checkLimit)
		switch result {
		case porcupine.Ok:
		case porcupine.Unknown:
			undecided++
		case porcupine.Illegal:
			name := ops[0].Input.(input).group
			path := filepath.Join(dir, "history-"+name+".html")
			text := fmt.Sprintf("the history of %s is not linearizable", name)
			if err := draw(m, info, path); err != nil {
				text += fmt.Sprintf(", and cannot be drawn: %v\n%s", err, list(ops))
			} else {
				text += ": see " + path
			}
			anomalies = append(anomalies, text)
		}
	}
	return len(parts), undecided, anomalies
}

func draw(m porcupine.Model, info porcupine.LinearizationInfo, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return porcupine.VisualizePath(m, info, path)
}

func list(ops []porcupine.Operation) string {
	var lines []string
	for _, op := range ops {
		lines = append(lines, fmt.Sprintf("client %d from %d to %d: %s", op.ClientId, op.Call, op.Return, describe(op.Input.(input), op.Output.(output))))
	}
	return strings.Join(lines, "\n")
}
