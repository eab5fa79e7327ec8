package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// NodeConnect opens a stream of a node's agent: the one with the next number.
// It is refused while another agent serves the node; a restarted one, known by
// the identity of its state directory, takes the place of the older stream.
type NodeConnect struct {
	At      time.Time
	Node    api.NodeID
	Address string
	Hello   api.Hello
	Replica api.ReplicaID // that serves the stream
}

// Apply decides the command.
func (c NodeConnect) Apply(s *State) (Outcome, error) {
	if err := c.check(); err != nil {
		return Outcome{}, err
	}
	n := api.Node{ID: c.Node, Since: c.At}
	if s.meta != nil {
		n.Stream = s.meta.Removed
	}
	if old := s.Node(c.Node); old != nil {
		if old.Connected && !c.sameAgent(old) {
			return Outcome{}, api.Errorf(api.CodeConflict,
				"node %s has an agent already: %s, connected from %s since %s. Two machines must not use the same node "+
					"certificate: make one for each. If this machine was installed anew, stop the other agent and wait a moment.",
				c.Node, old.Name(), old.Address, stamp(old.Since))
		}
		n.Stream, n.Draining, n.AllowedInstance = old.Stream, old.Draining, old.AllowedInstance
		if old.Connected {
			n.Since = old.Since
		}
	}
	if err := s.checkInstance(c.Node, c.Hello.Instance); err != nil {
		return Outcome{}, err
	}
	if instanceKey(n.AllowedInstance) == instanceKey(c.Hello.Instance) {
		n.AllowedInstance = "" // an operator's word counts once
	}
	n.Hostname, n.Address = c.Hello.Hostname, c.Address
	n.Era, n.Agent, n.Instance = strings.ToLower(c.Hello.Era), c.identity(), c.Hello.Instance
	n.Backend, n.Version, n.Zone = c.Hello.Backend, c.Hello.Version, c.Hello.Zone
	n.AllocationUnit, n.Capabilities, n.CertificateExpires = c.Hello.AllocationUnit, c.Hello.Capabilities, c.Hello.CertificateExpires
	n.MaxSize = max(c.Hello.MaxSize, 0)
	n.Stream++
	n.Connected, n.Replica = true, c.Replica
	return Outcome{Changes: []Change{putNode(&n)}, Node: &n}, nil
}

func (c NodeConnect) check() error {
	for _, text := range []struct{ field, value string }{
		{"hostname", c.Hello.Hostname}, {"era", c.Hello.Era}, {"agent", c.Hello.Agent},
		{"instance", c.Hello.Instance}, {"backend", c.Hello.Backend}, {"version", c.Hello.Version},
		{"zone", c.Hello.Zone},
	} {
		if len(text.value) > maxText {
			return api.FieldErrorf(text.field, "has %d bytes, more than the %d that are allowed", len(text.value), maxText)
		}
		if err := api.CheckText(text.field, text.value); err != nil {
			return err
		}
	}
	for _, capability := range c.Hello.Capabilities {
		if err := api.CheckText("capabilities", capability); err != nil {
			return err
		}
	}
	if unit := c.Hello.AllocationUnit; unit < 0 || unit > maxAllocationUnit {
		return api.FieldErrorf("allocation_unit", "%d is not a number of bytes from 0 to %d", unit, int64(maxAllocationUnit))
	}
	if len(c.Hello.Capabilities) > maxCapabilities || len(strings.Join(c.Hello.Capabilities, "")) > maxText {
		return api.FieldErrorf("capabilities", "are %d, more than the %d that are allowed, or too long", len(c.Hello.Capabilities), maxCapabilities)
	}
	if c.Hello.Agent == "" {
		return api.FieldErrorf("agent", "must not be empty: it tells a restarted agent from a second one")
	}
	if c.Hello.Era == "" {
		return api.FieldErrorf("era", "must not be empty: it is the kernel's boot id")
	}
	return nil
}

// identity is the agent's identity as records keep it. Only its hash is kept: with
// the identity itself a second agent could take a connected agent's place.
func (c NodeConnect) identity() string {
	sum := sha256.Sum256([]byte(string(c.Node) + "\x00" + c.Hello.Agent))
	return identityHash + hex.EncodeToString(sum[:])
}

// sameAgent reports whether a node's record is of this agent. Records of older
// versions have the identity itself.
func (c NodeConnect) sameAgent(n *api.Node) bool {
	return n.Agent == c.identity() || n.Agent == c.Hello.Agent && !strings.HasPrefix(n.Agent, identityHash)
}

const identityHash = "sha256:"

// AllowInstance is an operator's word that a node runs on an instance: its next
// stream may say so. The instance is taken from a lost node that holds nothing.
type AllowInstance struct {
	At       time.Time
	Node     api.NodeID
	Instance string
}

// Apply decides the command.
func (c AllowInstance) Apply(s *State) (Outcome, error) {
	switch {
	case strings.TrimSpace(c.Instance) == "":
		return Outcome{}, api.FieldErrorf(fieldInstance, "must not be empty")
	case len(c.Instance) > maxText:
		return Outcome{}, api.FieldErrorf(fieldInstance, "has %d bytes, more than the %d that are allowed", len(c.Instance), maxText)
	}
	if err := api.CheckText(fieldInstance, c.Instance); err != nil {
		return Outcome{}, err
	}
	b := newBatch(s)
	if other := s.otherOfInstance(c.Node, c.Instance); other != nil {
		if err := s.checkGivesInstance(other, c.Instance); err != nil {
			return Outcome{}, err
		}
		n := *other
		n.Instance = ""
		b.put(putNode(&n))
	}
	n := api.Node{ID: c.Node, Since: c.At}
	if old := s.Node(c.Node); old != nil {
		n = *old
	}
	if instanceKey(n.Instance) != instanceKey(c.Instance) && n.AllowedInstance != c.Instance {
		n.AllowedInstance = c.Instance
		b.put(putNode(&n))
	}
	return Outcome{Changes: b.changes, Node: &n}, nil
}

// checkGivesInstance reports why a node's instance cannot become another node's.
func (s *State) checkGivesInstance(n *api.Node, instance string) error {
	if n.Connected {
		return api.Errorf(api.CodeConflict, "instance %s belongs to node %s (%s), whose agent is connected since %s: stop that agent first",
			instance, n.ID, n.Name(), stamp(n.Since))
	}
	for d := range s.Concerning(n.ID) {
		if d.HeldBy(n.ID) {
			return api.Errorf(api.CodeConflict, "instance %s belongs to node %s (%s), which holds dataset %s: if that machine is off, "+
				"run flocker nodes lost %s and have its datasets moved first", instance, n.ID, n.Name(), nameOf(d), n.ID)
		}
	}
	return nil
}

// NodeDisconnect says that a node is lost: its stream has ended, or is silent,
// and no newer one has come in time. What the node holds it still holds, since
// it may be alive and writing, until another node has fenced it: the first of
// those fences are begun with the same commit.
type NodeDisconnect struct {
	At     time.Time
	Node   api.NodeID
	Stream uint64
}

// Apply decides the command.
func (c NodeDisconnect) Apply(s *State) (Outcome, error) {
	old := s.Node(c.Node)
	if old == nil {
		return Outcome{}, api.Errorf(api.CodeNotFound, "node %s has never connected", c.Node)
	}
	if !old.Connected || old.Stream != c.Stream {
		return Outcome{Node: old}, nil
	}
	n := *old
	n.Connected, n.Since = false, c.At
	return s.withNode(&n, c.At), nil
}

// fencesAtOnce is how many datasets go with a command about a node; Upkeep has
// the rest.
const fencesAtOnce = 16

// withNode returns the outcome of a node's change, with the first of what
// follows from it.
func (s *State) withNode(n *api.Node, at time.Time) Outcome {
	work := s.Clone()
	work.putNode(n.ID, n)
	return Outcome{Changes: append([]Change{putNode(n)}, work.upkeep(at, fencesAtOnce)...), Node: n}
}

// GiveUpNode is an operator's word that a silent node is lost: its machine is
// off, or cannot reach the storage system any more.
type GiveUpNode struct {
	At    time.Time
	Node  api.NodeID
	Force bool // also where the storage system is certain that the node has a volume in use
}

// Apply decides the command.
func (c GiveUpNode) Apply(s *State) (Outcome, error) {
	old := s.Node(c.Node)
	switch {
	case old == nil:
		return Outcome{}, errNoNode(c.Node)
	case old.Connected:
		return Outcome{}, api.Errorf(api.CodeConflict, "the agent of %s is connected since %s: a node that speaks is not lost. "+
			"To empty it, drain it; if it must not run any more, stop its machine first", old.Name(), stamp(old.Since))
	case !old.GivenUp.IsZero() && (old.Forced || !c.Force):
		return Outcome{Node: old}, nil
	}
	n := *old
	n.GivenUp, n.Forced = c.At, c.Force
	return s.withNode(&n, c.At), nil
}

// DrainNode has a node emptied, or ends that: it gets no further volumes and
// gives up those that nothing uses. What its containers use stays until they
// end.
type DrainNode struct {
	At   time.Time
	Node api.NodeID
	End  bool
}

// Apply decides the command.
func (c DrainNode) Apply(s *State) (Outcome, error) {
	old := s.Node(c.Node)
	if old == nil {
		return Outcome{}, errNoNode(c.Node)
	}
	if old.Draining.IsZero() == c.End {
		return Outcome{Node: old}, nil
	}
	n := *old
	n.Draining = time.Time{}
	if !c.End {
		n.Draining = c.At
	}
	return s.withNode(&n, c.At), nil
}

func errNoNode(id api.NodeID) error {
	return api.Errorf(api.CodeNotFound, "there is no node %s: none with that id has ever connected", id)
}

// checkDraining reports why nothing new goes to a node.
func (s *State) checkDraining(node api.NodeID) error {
	if n := s.Node(node); n != nil && !n.Draining.IsZero() {
		return api.Errorf(api.CodeUnavailable, "node %s is being drained since %s and gets no further volumes: "+
			"choose another node, or end that with flocker nodes drain --end %s", n.Name(), stamp(n.Draining), n.Name())
	}
	return nil
}

// CheckStream reports why what comes on a node's stream counts no more.
func (s *State) CheckStream(node api.NodeID, stream uint64) error {
	n := s.Node(node)
	if n == nil {
		return api.Errorf(api.CodeStale, "node %s has no stream: open one first", node)
	}
	if n.Stream != stream || !n.Connected {
		return api.Errorf(api.CodeStale, "stream %d of %s is over: open a new one", stream, n.Name())
	}
	return nil
}
