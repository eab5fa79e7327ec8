package control

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
)

// stateExpiry is how long Flocker shows what a node reported after the node
// has fallen silent.
const stateExpiry = 120 * time.Second

// datasetState is a dataset as Flocker shows its state.
type datasetState struct {
	ID      api.DatasetID `json:"dataset_id"`
	Primary api.NodeID    `json:"primary,omitempty"` // where it is mounted
	Path    string        `json:"path,omitempty"`
	Size    int64         `json:"maximum_size,omitempty"` // the volume's
}

// listDatasetStates lists the datasets that have volumes. Where one is mounted is
// the last that its holder said, which survives a restart of the control service.
func (a *rest) listDatasetStates(w http.ResponseWriter, r *request) error {
	s, now := a.replica.State(), a.now()
	states := []datasetState{}
	for d := range s.Datasets() {
		if d.Volume == nil || d.Destroyed || !s.MayUse(d, r.who.actor()) {
			continue
		}
		state := datasetState{ID: d.ID, Size: d.Volume.Size}
		if st := s.DatasetState(d.ID); mounted(d, st) && shown(s.Node(st.Node), now) {
			state.Primary, state.Path = st.Node, st.Path
		}
		states = append(states, state)
	}
	reply(w, http.StatusOK, states)
	return nil
}

// mounted reports whether the holder has said that it has the dataset mounted.
func mounted(d *api.Dataset, st *api.DatasetState) bool {
	return st != nil && st.Phase == api.PhaseMounted && d.HeldBy(st.Node) && st.Epoch == d.Epoch && st.Path != ""
}

// shown reports whether what a node has said still counts in Flocker's eyes.
func shown(n *api.Node, now time.Time) bool {
	return n != nil && (n.Connected || now.Sub(n.Since) < stateExpiry)
}

func (a *rest) listNodeStates(w http.ResponseWriter, _ *request) error {
	type nodeState struct {
		ID   api.NodeID `json:"uuid"`
		Host string     `json:"host"`
	}
	states, now := []nodeState{}, a.now()
	for n := range a.replica.State().Nodes() {
		if shown(n, now) {
			states = append(states, nodeState{n.ID, n.Address})
		}
	}
	reply(w, http.StatusOK, states)
	return nil
}

func (a *rest) getNodeByEra(w http.ResponseWriter, r *request) error {
	era, err := uuid.Parse(r.path("era"))
	if err != nil {
		return api.FieldErrorf("era", "%q is not a UUID: it is the text of /proc/sys/kernel/random/boot_id", r.path("era"))
	}
	n := a.replica.State().NodeByEra(era.String())
	if n == nil {
		return api.Errorf(api.CodeNotFound, "No node found with given era.")
	}
	reply(w, http.StatusOK, struct {
		ID api.NodeID `json:"uuid"`
	}{n.ID})
	return nil
}
