package control

import (
	"maps"
	"net/http"
	"slices"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// listBackends lists the storage systems that agents have told of, and those of
// registered volumes.
func (a *rest) listBackends(w http.ResponseWriter, _ *request) error {
	reply(w, http.StatusOK, backends(a.replica.State()))
	return nil
}

func backends(s *cluster.State) []*api.BackendDetail {
	byName := map[string]*api.BackendDetail{}
	named := func(name string) *api.BackendDetail {
		if byName[name] == nil {
			byName[name] = &api.BackendDetail{Name: name, Capabilities: []string{}, Nodes: []api.NodeID{}}
		}
		return byName[name]
	}
	for n := range s.Nodes() {
		if n.NeverCame() {
			continue
		}
		b := named(n.Backend)
		if len(b.Nodes) == 0 {
			b.Capabilities = append(b.Capabilities, n.Capabilities...)
		}
		// What one of its nodes cannot have done nobody can rely on.
		b.Capabilities = slices.DeleteFunc(b.Capabilities, func(c string) bool { return !slices.Contains(n.Capabilities, c) })
		b.AllocationUnit = max(b.AllocationUnit, n.AllocationUnit)
		b.Nodes = append(b.Nodes, n.ID)
	}
	for d := range s.Datasets() {
		if d.Volume != nil && !d.Destroyed {
			b := named(d.Volume.Backend)
			b.Volumes++
			b.Bytes += d.Volume.Size
		}
	}
	list := make([]*api.BackendDetail, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		slices.Sort(byName[name].Capabilities)
		list = append(list, byName[name])
	}
	return list
}
