package masters

import (
	"net"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// match finds the agent on each node's machine by its names and addresses. Where
// more than one agent, or more than one node, can be meant, nothing is: false
// evidence is worse than none.
func (v *view) match(nodes []*api.Node) map[api.NodeID]*agentView {
	index := v.index()
	found := map[api.NodeID]*agentView{}
	claims := map[*agentView]claimant{}
	for _, n := range nodes {
		a, strength := best(n, index.candidates(n))
		if a == nil {
			continue
		}
		found[n.ID] = a
		switch c := claims[a]; {
		case strength > c.strength:
			claims[a] = claimant{node: n.ID, strength: strength}
		case strength == c.strength:
			claims[a] = claimant{strength: strength} // nobody's
		}
	}
	for id, a := range found {
		if claims[a].node != id {
			delete(found, id)
		}
	}
	return found
}

// claimant is the node that an agent fits best.
type claimant struct {
	node     api.NodeID
	strength int
}

// best returns the agent that fits a node best. A machine that was started anew
// has had several, of which the one that is registered counts, or else the one
// that was listed last.
func best(n *api.Node, candidates []*agentView) (*agentView, int) {
	var found *agentView
	strength, ambiguous := 0, false
	for _, a := range candidates {
		s := claim(n, a)
		if found == nil {
			found, strength = a, s
			continue
		}
		switch order := preferred(a, s, found, strength); {
		case order > 0:
			found, strength, ambiguous = a, s, false
		case order == 0:
			ambiguous = true
		}
	}
	if ambiguous {
		return nil, 0
	}
	return found, strength
}

// preferred compares two agents that may be a node's: positive for the first.
func preferred(a *agentView, strengthA int, b *agentView, strengthB int) int {
	switch {
	case a.present != b.present:
		return order(a.present)
	case strengthA != strengthB:
		return order(strengthA > strengthB)
	case a.present || a.listed.Equal(b.listed):
		return 0
	default:
		return order(a.listed.After(b.listed))
	}
}

func order(first bool) int {
	if first {
		return 1
	}
	return -1
}

// claim is how well an agent fits a node: 0 is not at all.
func claim(n *api.Node, a *agentView) int {
	strength := 0
	switch {
	case n.Hostname == "" || a.Hostname == "":
	case strings.EqualFold(n.Hostname, a.Hostname):
		strength += 2
	case shortOf(n.Hostname, a.Hostname) || shortOf(a.Hostname, n.Hostname):
		strength++
	}
	if n.Address != "" && !isLoopback(n.Address) && (n.Address == a.Address || n.Address == a.Hostname) {
		strength += 2
	}
	return strength
}

// shortOf reports whether a name is the first part of a longer one.
func shortOf(short, long string) bool {
	return len(long) > len(short) && strings.EqualFold(long[:len(short)], short) && long[len(short)] == '.'
}

// index finds agents by what a node can have in common with them.
type index map[string][]*agentView

func (v *view) index() index {
	i := index{}
	for _, a := range v.agents {
		keys := map[string]bool{a.Address: true}
		for _, key := range nameKeys(a.Hostname) {
			keys[key] = true
		}
		for key := range keys {
			i[key] = append(i[key], a)
		}
	}
	return i
}

// candidates returns the agents that fit a node at all.
func (i index) candidates(n *api.Node) []*agentView {
	seen := map[*agentView]bool{}
	var all []*agentView
	for _, key := range append(nameKeys(n.Hostname), n.Address) {
		for _, a := range i[key] {
			if !seen[a] && claim(n, a) > 0 {
				seen[a] = true
				all = append(all, a)
			}
		}
	}
	return all
}

// nameKeys returns a name and its first part: of a longer and a shorter name one
// is the other's.
func nameKeys(name string) []string {
	name = strings.ToLower(name)
	if net.ParseIP(name) != nil {
		return []string{name}
	}
	keys := []string{name}
	if short, _, ok := strings.Cut(name, "."); ok {
		keys = append(keys, short)
	}
	return keys
}

func isLoopback(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
