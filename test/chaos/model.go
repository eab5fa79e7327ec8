package main

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/flocker-mesos/flocker/api"
)

// The model of the REST API. Writes, writes on condition of a tag, and writes
// that change nothing (a move to nowhere, which answers with the dataset) are
// linearizable, through whichever replicas they go: each takes effect at one
// moment between its call and its answer. GETs are not, by design: a replica
// answers them with the newest state that it knows. They are monotonic through
// one replica instead; see monotonic.go.
//
// The datasets of a group have one name, so that the model covers the
// uniqueness of names; groups have nothing in common and are checked apart.

// groupSize is how many datasets want the one name of a group.
const groupSize = 3

type verb string

const (
	verbCreate verb = "create"
	verbMove   verb = "move"
	verbSwap   verb = "move if still on"
	verbDelete verb = "delete"
	verbRead   verb = "read"
)

// input is what a client asks for.
type input struct {
	group   string
	verb    verb
	dataset int        // of the group
	to      api.NodeID // of create, move and swap
	from    api.NodeID // of swap: what the client has seen
}

// outcome is what it is told.
type outcome string

const (
	done       outcome = "done"
	taken      outcome = "id taken"   // of create: there is such a dataset
	nameTaken  outcome = "name taken" // of create: a live one has the name
	missing    outcome = "not found"
	deleted    outcome = "deleted"
	mismatched outcome = "tag mismatch" // the configuration, perhaps of another dataset, changed meanwhile
	unknown    outcome = "unknown"      // no answer, or one that does not say: it may take effect at any time from the call on
)

type output struct {
	outcome outcome
	primary api.NodeID // with done, except of delete
}

// record is what the model knows of a dataset.
type record struct {
	exists, deleted bool
	primary         api.NodeID
}

// state is a group's datasets.
type state [groupSize]record

// model is how the API behaves.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: partition,
		Init:      func() any { return state{} },
		Step: func(s, in, out any) (bool, any) {
			answer, given := out.(output), in.(input)
			expected, next := s.(state).apply(given)
			switch answer.outcome {
			case unknown:
				return true, next
			case mismatched:
				return given.verb == verbSwap, s
			default:
				return answer == expected, next
			}
		},
		DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

func partition(history []porcupine.Operation) [][]porcupine.Operation {
	var groups [][]porcupine.Operation
	at := map[string]int{}
	for _, op := range history {
		name := op.Input.(input).group
		i, ok := at[name]
		if !ok {
			i = len(groups)
			at[name] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], op)
	}
	return groups
}

// apply returns what an operation answers and what is then.
func (s state) apply(in input) (output, state) {
	r := &s[in.dataset]
	switch {
	case in.verb == verbCreate && r.exists:
		return output{outcome: taken}, s
	case in.verb == verbCreate && s.named():
		return output{outcome: nameTaken}, s
	case in.verb == verbCreate:
		*r = record{exists: true, primary: in.to}
	case !r.exists:
		return output{outcome: missing}, s
	case in.verb == verbDelete:
		r.deleted = true
		return output{outcome: done}, s
	case r.deleted:
		return output{outcome: deleted}, s
	case in.verb == verbMove:
		r.primary = in.to
	case in.verb == verbSwap:
		if r.primary != in.from {
			return output{outcome: mismatched}, s
		}
		r.primary = in.to
	}
	return output{outcome: done, primary: r.primary}, s
}

// named reports whether a live dataset has the group's name.
func (s state) named() bool {
	for _, r := range s {
		if r.exists && !r.deleted {
			return true
		}
	}
	return false
}

func (s state) String() string {
	var words []string
	for i, r := range s {
		switch {
		case r.deleted:
			words = append(words, fmt.Sprintf("%d deleted", i))
		case r.exists:
			words = append(words, fmt.Sprintf("%d on %.8s", i, r.primary))
		}
	}
	return strings.Join(words, ", ")
}

func describe(in input, out output) string {
	text := fmt.Sprintf("%s %d", in.verb, in.dataset)
	if in.from != "" {
		text += fmt.Sprintf(" %.8s", in.from)
	}
	if in.to != "" {
		text += fmt.Sprintf(" to %.8s", in.to)
	}
	text += ": " + string(out.outcome)
	if out.primary != "" {
		text += fmt.Sprintf(" on %.8s", out.primary)
	}
	return text
}
