package cluster

import "github.com/flocker-mesos/flocker/api"

// ShownState returns what was last reported of a dataset as people may see it, nil if
// nothing was. What was tried in a tenure, what failed and how the mount was end with
// the tenure.
func (s *State) ShownState(d *api.Dataset) *api.DatasetState {
	st := s.DatasetState(d.ID)
	if st == nil || ofTenure(d, st) || st.Action == "" && st.Failure == nil && st.Health == nil {
		return st
	}
	over := *st
	over.Action, over.Failure, over.Health = "", nil, nil
	return &over
}

// ofTenure reports whether a state was reported by the present holder under its token.
func ofTenure(d *api.Dataset, st *api.DatasetState) bool {
	return d.Holder != nil && st.Node == d.Holder.Node && st.Epoch == d.Holder.Epoch
}
