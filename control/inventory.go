package control

import (
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	// inventoriesAtOnce bounds how many inventories are in memory: all agents bring
	// one after a backup was restored.
	inventoriesAtOnce = 2
	// orphansAtOnce is how many orphans one command takes, each with a dataset that
	// waits for it, so that any log can take them in one commit.
	orphansAtOnce = 8
)

// inventory takes in what a node's storage has. When it answers, everything that the
// log does not know is an orphan, and no volume is made under its name.
func (a *agents) inventory(w http.ResponseWriter, r *http.Request, who caller) error {
	select {
	case a.inventories <- struct{}{}:
		defer func() { <-a.inventories }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	var inv api.Inventory
	if err := decode(r, &inv); err != nil {
		return err
	}
	if len(inv.Volumes) > api.MaxInventory {
		return api.FieldErrorf("volumes", "are %d, more than the %d that are allowed", len(inv.Volumes), api.MaxInventory)
	}
	node, s := api.NodeID(who.name), a.replica.State()
	if err := s.CheckStream(node, inv.Stream); err != nil {
		return err
	}
	if inv.Incarnation != s.Incarnation() {
		return api.Errorf(api.CodeStale, "the log was restored since: open a new stream")
	}
	a.live.heard(node)
	backend := s.Node(node).Backend
	unknown := s.Unknown(backend, inv.Volumes)
	var commands []cluster.Command
	for part := range slices.Chunk(unknown, orphansAtOnce) {
		commands = append(commands, cluster.NoteOrphans{At: a.now(), Node: node, Stream: inv.Stream, Volumes: part})
	}
	for part := range slices.Chunk(gone(s, node, backend, unknown, inv.Volumes), orphansAtOnce) {
		commands = append(commands, cluster.DropOrphans{Node: node, Stream: inv.Stream, IDs: part})
	}
	for _, c := range commands {
		if _, err := a.replica.Do(r.Context(), c); err != nil {
			return err
		}
	}
	s = a.replica.State()
	var out api.InventoryReply
	for d := range s.Concerning(node) {
		if d.Blocked != "" {
			out.Datasets = append(out.Datasets, d)
		}
	}
	if len(unknown) > 0 {
		a.log.Warn("the storage has volumes that the log does not know", "node", nodeName(s, node), "backend", backend, "orphans", len(unknown),
			"volumes", len(inv.Volumes), "remedy", "flocker backends orphans")
	}
	reply(w, http.StatusOK, out)
	return nil
}

// gone returns the orphans of a backend that a node has found and no longer has, and
// those that it has and the log knows by now.
func gone(s *cluster.State, node api.NodeID, backend string, unknown, all []api.InventoryVolume) []string {
	if s.CountOrphans() == 0 {
		return nil
	}
	orphaned, there := map[string]bool{}, map[string]bool{}
	for _, v := range unknown {
		orphaned[v.ID] = true
	}
	for _, v := range all {
		there[v.ID] = true
	}
	var ids []string
	for o := range s.Orphans() {
		if o.Volume.Backend == backend && !orphaned[o.Volume.ID] && (o.Node == node || there[o.Volume.ID]) {
			ids = append(ids, cluster.OrphanID(o.Volume))
		}
	}
	return ids
}
