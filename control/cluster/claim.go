package cluster

import (
	"cmp"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Claim says that a node wants to use a dataset. Claiming again changes nothing.
type Claim struct {
	At     time.Time
	Node   api.NodeID
	Stream uint64
	// ID names the dataset; else Find does, which is created with the id
	// NewID where there is none of that name.
	ID          api.DatasetID
	Find        *api.DatasetSpec
	NewID       api.DatasetID
	DefaultSize int64 // bytes
	Preempt     bool  // ask a living holder to let go
	Ahead       bool  // because of a hint, for the owner of its app; no container on the node uses it yet
	Owner       api.Owner
}

// Apply decides the command.
func (c Claim) Apply(s *State) (Outcome, error) {
	if err := s.CheckStream(c.Node, c.Stream); err != nil {
		return Outcome{}, err
	}
	var d *api.Dataset
	switch {
	case (c.ID == "") == (c.Find == nil):
		return Outcome{}, api.Errorf(api.CodeInvalid, "a claim names a dataset either by its id or by what to find")
	case c.ID != "":
		found, err := s.live(c.ID)
		if err != nil {
			return Outcome{}, err
		}
		d = found
	default:
		if err := checkSpec(c.Find); err != nil {
			return Outcome{}, err
		}
		if d = s.DatasetByName(c.Find.Name); d == nil {
			return c.create(s)
		}
		if err := s.intact(d.ID); err != nil {
			return Outcome{}, err
		}
		if err := s.CheckUse(d, c.by(s)); err != nil {
			return Outcome{}, err
		}
		if err := checkApp(c.Find.Name, c.Find.App, d.App); err != nil {
			return Outcome{}, err
		}
		if err := checkFound(c.Find, d); err != nil {
			return Outcome{}, err
		}
	}
	if err := s.CheckUse(d, c.by(s)); err != nil {
		return Outcome{}, err
	}
	if c.Preempt {
		if err := s.checkManage(d, c.by(s), "pre-empt"); err != nil {
			return Outcome{}, err
		}
	}
	return c.claim(s, d)
}

// by returns for which owner the node acts: where no container has asked yet, for that
// of the app that is expected.
func (c Claim) by(s *State) Actor {
	if !c.Ahead {
		return Actor{Owner: c.Owner}
	}
	if h := s.Hint(c.ID); h != nil {
		if app, d := s.App(h.App), s.Dataset(c.ID); app != nil && d != nil {
			return Actor{Owner: app.OwnerFor(d.Name())}
		}
	}
	return Actor{}
}

// create makes a dataset on demand: it is mounted only while it is used.
func (c Claim) create(s *State) (Outcome, error) {
	if err := s.mayCreate(); err != nil {
		return Outcome{}, err
	}
	if err := s.checkDraining(c.Node); err != nil {
		return Outcome{}, err
	}
	if s.Dataset(c.NewID) != nil {
		return Outcome{}, api.Errorf(api.CodeUnavailable, "the new dataset's id %s is taken: try again", c.NewID)
	}
	if err := s.checkPlace(c.Find.Name, c.NewID, c.by(s)); err != nil {
		return Outcome{}, err
	}
	d := s.newUnder(c.NewID, *c.Find, c.DefaultSize, c.Owner)
	if err := s.checkNewSize(d.Size, d.FS, s.Node(c.Node)); err != nil {
		return Outcome{}, err
	}
	d.Primary, d.Created, d.Revision = c.Node, c.At, s.revision+1
	if err := s.checkQuota(nil, d); err != nil {
		return Outcome{}, err
	}
	grant(d, c.Node, c.At)
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// newDataset returns a dataset as somebody wants it, of which is still to be said
// where it is.
func newDataset(id api.DatasetID, spec api.DatasetSpec, defaultSize int64, owner api.Owner) *api.Dataset {
	d := &api.Dataset{
		ID:          id,
		Metadata:    map[string]string{api.MetadataName: spec.Name},
		MaximumSize: spec.Size,
		Size:        cmp.Or(spec.Size, defaultSize),
		FS:          cmp.Or(spec.FS, api.FSExt4),
		User:        spec.User,
		Permissions: spec.Permissions,
		Owner:       cmp.Or(owner, api.Anyone),
		App:         spec.App,
	}
	if spec.Profile != "" {
		d.Metadata[api.MetadataProfile] = spec.Profile
	}
	return d
}

func (c Claim) claim(s *State, d *api.Dataset) (Outcome, error) {
	if c.Ahead {
		if err := c.checkAhead(s, d); err != nil {
			return Outcome{}, err
		}
	} else if m := d.Member; m != nil && (c.ID == "" || d.UserOn(c.Node) == nil) {
		return Outcome{}, api.Errorf(api.CodeConflict, "dataset %s is %s, whose instances have their volumes to themselves: "+
			"ask for a volume of another name, or for %s with each", nameOf(d), m, m.Set)
	}
	if d.HeldBy(c.Node) || d.AwaitedBy(c.Node) && !s.apart(d, c.Node) && (!c.Preempt || preempts(d, c.Node)) {
		if d.Reclaim == nil && !c.names(s, d) {
			return Outcome{Dataset: d}, nil
		}
		d = s.draft(d)
		d.Reclaim = nil // it is wanted again
		c.name(s, d)
		return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
	}
	if err := s.checkZone(d, c.Node); err != nil {
		return Outcome{}, err
	}
	if err := s.checkDraining(c.Node); err != nil {
		return Outcome{}, err
	}
	free := s.free(d)
	d = s.draft(d)
	d.Reclaim = nil
	c.name(s, d)
	if d.Primary != c.Node {
		d.Pinned = false // use elsewhere goes before a place that a user has chosen
	}
	if free {
		grant(d, c.Node, c.At)
		d.Primary = c.Node
	} else {
		enqueue(d, c.Node, c.by(s).Owner, c.Preempt, c.At)
		d.Fence = s.fenceFor(d, c.At) // at once, where the holder is lost
	}
	return Outcome{Changes: []Change{putDataset(d)}, Dataset: d}, nil
}

// names reports whether the claim's app is the first whose id became the dataset's name.
// The app of an owner that it is only shared with would shut the owner's own app out.
func (c Claim) names(s *State, d *api.Dataset) bool {
	return c.Find != nil && c.Find.App != "" && d.App == "" && s.mayManage(d, c.by(s))
}

// name notes that in a draft.
func (c Claim) name(s *State, d *api.Dataset) {
	if c.names(s, d) {
		d.App = c.Find.App
	}
}

func preempts(d *api.Dataset, node api.NodeID) bool {
	return slices.ContainsFunc(d.Waiting, func(w api.Waiter) bool { return w.Node == node && w.Preempt })
}
