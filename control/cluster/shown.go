package cluster

import "github.com/flocker-mesos/flocker/api"

// ShownState returns what was last reported of a dataset as people may see it, nil if
// nothing was. What was tried and what failed in a tenure ends with the tenure.
func (s *State) ShownState(d *api.Dataset) *api.DatasetState {
	st := s.DatasetState(d.ID)
	if st == nil || ofTenure(d, st) || st.Action == "" && st.Failure == nil {
		return st
	}
	over := *st
	over.Action, over.Failure = "", nil
	return &over
}

// ofTenure reports whether a state was reported by the present holder under its token.
func ofTenure(d *api.Dataset, st *api.DatasetState) bool {
	return d.Holder != nil && st.Node == d.Holder.Node && st.Epoch == d.Holder.Epoch
}
