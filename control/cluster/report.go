package cluster

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Report is what a node says about datasets. Each part is accepted or refused
// by itself; the Outcome has the refusals.
type Report struct {
	At       time.Time
	Node     api.NodeID
	Stream   uint64
	Datasets []api.DatasetReport
}

// Apply decides the command. It is refused as a whole only when the stream is over.
func (c Report) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	var out Outcome
	if len(c.Datasets) == 0 {
		return out, nil
	}
	work := s.Clone() // a later part is decided on what an earlier one left
	at := map[Key]int{}
	for _, r := range c.Datasets {
		changes, err := c.one(work, r)
		if err != nil {
			if out.Refused == nil {
				out.Refused = map[api.DatasetID]*api.Error{}
			}
			out.Refused[r.State.ID] = api.AsError(err)
			continue
		}
		work.Put(changes...)
		for _, change := range changes {
			if i, ok := at[change.Key]; ok {
				out.Changes[i] = change
				continue
			}
			at[change.Key] = len(out.Changes)
			out.Changes = append(out.Changes, change)
		}
	}
	return out, nil
}

// MesosReport is how a node gets on with its Mesos agent.
type MesosReport struct {
	Node    api.NodeID
	Stream  uint64
	Trouble *api.MesosTrouble // nil for none
}

// Apply decides the command.
func (c MesosReport) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	n := *s.Node(c.Node)
	if reflect.DeepEqual(n.MesosTrouble, c.Trouble) {
		return Outcome{}, nil
	}
	n.MesosTrouble = nil
	if t := c.Trouble; t != nil {
		n.MesosTrouble = &api.MesosTrouble{Kind: api.MesosTroubleKind(clipped(string(t.Kind), maxText)), Cause: clipped(api.Printable(t.Cause), maxCause), Since: t.Since}
	}
	return Outcome{Changes: []Change{putNode(&n)}, Node: &n}, nil
}

// one decides the part about one dataset.
func (c Report) one(s *State, r api.DatasetReport) ([]Change, error) {
	d, err := s.find(r.State.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Fence != nil:
		return c.fence(s, d, r)
	case r.Free != 0:
		return c.freed(s, d, r.Free), nil
	}
	if !d.HeldBy(c.Node) {
		return c.bystander(s, d, r)
	}
	if r.State.Epoch != d.Epoch {
		if withdrawal(r) {
			return nil, nil // it crossed with the grant, which the node has yet to hear of
		}
		return nil, api.Errorf(api.CodeStale, "the report is of epoch %d, %s holds dataset %s with epoch %d",
			r.State.Epoch, s.nodeText(c.Node), d.ID, d.Epoch)
	}
	if err := checkState(&r.State); err != nil {
		return nil, err
	}
	if err := c.checkVolume(s, d, r.Volume); err != nil {
		return nil, err
	}
	if err := checkEffects(d, r); err != nil {
		return nil, err
	}
	r.State = legible(r.State)
	return c.accept(s, d, r), nil
}

// bystander decides a part from a node that does not hold the dataset. All it
// can do is to stop waiting.
func (c Report) bystander(s *State, d *api.Dataset, r api.DatasetReport) ([]Change, error) {
	if !withdrawal(r) {
		return nil, api.Errorf(api.CodeStale, "%s does not hold dataset %s", s.nodeText(c.Node), d.ID)
	}
	if !d.AwaitedBy(c.Node) {
		return nil, nil
	}
	d = s.draft(d)
	stopWaiting(d, c.Node)
	return []Change{putDataset(d)}, nil
}

func withdrawal(r api.DatasetReport) bool {
	return r.Withdraw && r.Volume == nil && !r.Release && !r.Destroyed
}

// checkVolume reports why the volume that the holder registers cannot be the
// dataset's. What the holder says of the volume's size and zone is believed: the
// storage system alone could tell better.
func (c Report) checkVolume(s *State, d *api.Dataset, v *api.Volume) error {
	if v == nil {
		return nil
	}
	if v.ID == "" || len(v.ID) > maxText || len(v.Backend) > maxText || len(v.Zone) > maxText {
		return api.FieldErrorf(fieldVolume, "needs an id and a backend, and has a zone, of at most %d bytes", maxText)
	}
	if strings.ContainsFunc(v.ID+v.Backend, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return api.FieldErrorf(fieldVolume, "has the id %q of backend %q: only visible ASCII characters are allowed", v.ID, v.Backend)
	}
	if err := api.CheckText(fieldVolume, v.Zone); err != nil {
		return err
	}
	if d.Volume != nil && (d.Volume.ID != v.ID || d.Volume.Backend != v.Backend) {
		return &api.Error{Code: api.CodeConflict, Field: fieldVolume, Message: "dataset " + string(d.ID) +
			" has the volume " + d.Volume.ID + " of backend " + d.Volume.Backend +
			"; the volume " + v.ID + " of backend " + v.Backend + " does not take its place"}
	}
	if n := s.Node(c.Node); d.Volume == nil && n.Backend != "" && n.Backend != v.Backend && s.drives(v.Backend) {
		return &api.Error{Code: api.CodeConflict, Field: fieldVolume, Message: n.Name() + " drives the backend " + n.Backend +
			" and cannot register a volume of backend " + v.Backend}
	}
	if d.Volume == nil {
		if err := s.checkOwner(d, v); err != nil {
			return err
		}
	}
	return checkVolumeSize(d, v)
}

// checkVolumeSize bounds a volume's size by what was asked for: sizes never go
// down, so a wrong one would have the volume taken for cut short for ever.
func checkVolumeSize(d *api.Dataset, v *api.Volume) error {
	asked := d.Size
	if d.Volume != nil {
		asked = max(asked, d.Volume.Size)
	}
	if v.Size < 0 || v.Size > maxGrown || asked < maxGrown && v.Size > asked+max(asked, sizeSlack) {
		return &api.Error{Code: api.CodeConflict, Field: fieldVolume, Message: fmt.Sprintf(
			"volume %s has %d bytes, which is not a size for the %d bytes that dataset %s wants", v.ID, v.Size, asked, d.ID)}
	}
	return nil
}

// checkEffects reports why the holder's report cannot be.
func checkEffects(d *api.Dataset, r api.DatasetReport) error {
	if v := r.Volume; v != nil {
		switch {
		case d.Blocked != "" && d.Volume == nil:
			return &api.Error{Code: api.CodeConflict, Field: fieldVolume, Message: clipped("no volume is registered for dataset "+nameOf(d)+": "+d.Blocked, maxCause)}
		case d.Volume != nil && v.Size < d.Volume.Size:
			// An older report may come late; and where the volume was really
			// cut short, that must not become the truth.
			return &api.Error{Code: api.CodeConflict, Field: "volume", Message: fmt.Sprintf(
				"dataset %s has a volume of %d bytes; it has not become one of %d", d.ID, d.Volume.Size, v.Size)}
		}
	}
	if r.Destroyed && !d.Deleted {
		return api.Errorf(api.CodeConflict, "dataset %s is not deleted", d.ID)
	}
	if r.Release || r.Destroyed {
		switch r.State.Phase {
		case api.PhaseAttaching, api.PhaseBlank, api.PhaseForeign, api.PhaseAttached, api.PhaseMounted, api.PhaseCut:
			return api.Errorf(api.CodeInvalid, "dataset %s cannot be given up while its volume is %s", d.ID, r.State.Phase)
		}
	}
	return nil
}

// accept returns what changes by the holder's report.
func (c Report) accept(s *State, d *api.Dataset, r api.DatasetReport) []Change {
	var changes []Change
	st := r.State
	st.Node = c.Node
	if r.Release {
		st.Action, st.Failure, st.Health = "", nil, nil // the tenure is over, and so is what failed in it
	}
	registered := register(d.Volume, r.Volume)
	if registered != nil || r.Release || r.Destroyed {
		d = s.draft(d)
		if registered != nil {
			d.Volume = registered
			s.settleInZone(d)
		}
		switch {
		case r.Destroyed:
			destroyed(d, c.At)
		case r.Release && d.Deleted: // it was deleted while the release was under way
			take(d)
			s.assignDestruction(d, &st, c.At)
		case r.Release:
			s.passOn(d, c.Node, c.At)
		}
		changes = append(changes, putDataset(d))
		if h := s.Hint(d.ID); h != nil && h.Make && d.Volume != nil {
			changes = append(changes, Change{Key: HintKey(d.ID)})
		}
	}
	switch old := s.DatasetState(d.ID); {
	case d.Destroyed && old != nil:
		changes = append(changes, Change{Key: StateKey(d.ID)})
	case d.Destroyed:
	case old == nil || !reflect.DeepEqual(*old, st):
		changes = append(changes, putState(&st))
	}
	return changes
}

// register returns the volume as it is known after a report, nil where it is known
// as that already: one that has grown has a new size. In which zone it is the
// storage system says, also after operators have given the zone another name; who
// says nothing does not know.
func register(old, reported *api.Volume) *api.Volume {
	if reported == nil {
		return nil
	}
	v := *reported
	if old != nil {
		v.Zone = cmp.Or(v.Zone, old.Zone)
		if v == *old {
			return nil
		}
	}
	return &v
}
