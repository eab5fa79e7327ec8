package follow

import (
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// hosts finds nodes by what Marathon calls their machines: the --hostname of the
// Mesos agent, which is the machine's name or address or what somebody has made
// of it.
type hosts map[string]candidates

// candidates are the nodes of one name.
type candidates struct {
	node  api.NodeID
	there bool // its agent is connected
	more  bool // another one, that is there as this one is, has the name too
}

// newHosts indexes nodes by name and address.
func newHosts(nodes []*api.Node) hosts {
	h := make(hosts, 2*len(nodes))
	for _, n := range nodes {
		h.add(n.Hostname, n)
		if !strings.EqualFold(n.Hostname, n.Address) {
			h.add(n.Address, n)
		}
	}
	return h
}

func (h hosts) add(name string, n *api.Node) {
	name = hostName(name)
	if name == "" || n.NeverCame() {
		return
	}
	switch c, taken := h[name]; {
	case !taken || n.Connected && !c.there: // a machine that was set up anew leaves a lost node behind
		h[name] = candidates{node: n.ID, there: n.Connected}
	case c.there == n.Connected:
		c.more = true
		h[name] = c
	}
}

// node returns the node of a host, "" where none or several may be meant.
func (h hosts) node(host string) api.NodeID {
	c := h[hostName(host)]
	if c.more {
		return ""
	}
	return c.node
}

// hostName is how names of hosts are compared.
func hostName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
