package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// idGiven is the number of characters from which on a text counts as the beginning of an
// id, also where it is a name.
const idGiven = 6

// ref is how a dataset is named to the control service once it is known: by its id, which
// may be the name of another.
func ref(id api.DatasetID) string { return api.RefID + string(id) }

// volume returns the dataset that a text means: its name, also while it is being deleted,
// its id in any spelling, or the beginning of its id. A text that means several is
// refused. The control service looks names and ids up: there may be ten thousand datasets.
func (s *session) volume(text string) (*api.DatasetDetail, error) {
	if text == "" {
		return nil, usage.Errorf("which volume? Give its name, its id or the beginning of its id")
	}
	d, err := s.Volume(s.ctx, text)
	if err != nil && api.CodeOf(err) != api.CodeNotFound {
		return nil, err
	}
	begun, err := s.begun(text, d)
	if err != nil {
		return nil, err
	}
	switch len(begun) {
	case 0:
		return nil, noVolume(text)
	case 1:
		return begun[0], nil
	}
	return nil, ambiguous("volume", text, begun, func(d *api.DatasetDetail) string {
		return fmt.Sprintf("%s  %s, %s", d.Dataset.ID, volumeName(d), d.Status)
	})
}

// begun returns the dataset that was found, if any, and those whose ids begin with the
// text, if it is long enough to be meant so.
func (s *session) begun(text string, found *api.DatasetDetail) ([]*api.DatasetDetail, error) {
	var all []*api.DatasetDetail
	if found != nil {
		all = append(all, found)
	}
	id, asID := strings.CutPrefix(text, api.RefID)
	prefix, ok := api.ParseIDPrefix(id)
	if !ok || found != nil && (asID || len(id) < idGiven || prefix == string(found.Dataset.ID)) {
		return all, nil
	}
	begun, err := s.volumes(api.VolumeQuery{ID: prefix, Gone: true})
	if err != nil {
		return nil, err
	}
	for _, d := range begun {
		if found == nil || d.Dataset.ID != found.Dataset.ID {
			all = append(all, d)
		}
	}
	return all, nil
}

// errNoVolume says that no volume has a name or id.
var errNoVolume = errors.New("there is no volume")

func noVolume(text string) error {
	return fmt.Errorf("%w with the name or id %q; `flocker volumes list` shows all, with --deleted also those that are gone", errNoVolume, text)
}

// dying is volume for a command that waits for the end of a dataset: if the name is free
// again, it returns the dataset that had the name last.
func (s *session) dying(text string) (*api.DatasetDetail, error) {
	d, err := s.volume(text)
	if !errors.Is(err, errNoVolume) {
		return d, err
	}
	found, listErr := s.volumes(api.VolumeQuery{Name: text, Gone: true})
	if listErr != nil {
		return nil, listErr
	}
	var last *api.DatasetDetail
	for _, d := range found {
		if last == nil || later(d.Dataset, last.Dataset) {
			last = d
		}
	}
	if last == nil {
		return nil, err
	}
	return last, nil
}

// later reports whether a dataset ends after another one: not at all, or not yet,
// is the latest.
func later(d, than *api.Dataset) bool {
	if d.Destroyed != than.Destroyed {
		return !d.Destroyed
	}
	return d.DestroyedAt.After(than.DestroyedAt)
}

// volumes lists datasets, sorted by name and id. What the query says is seen to
// here as well: a control service that is too old to know of queries sends all
// there are, and who asks for failing ones may want to destroy them.
func (s *session) volumes(q api.VolumeQuery) ([]*api.DatasetDetail, error) {
	all, err := s.Volumes(s.ctx, q)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(d *api.DatasetDetail) bool { return !chosen(q, d) })
	slices.SortFunc(all, byName)
	return all, nil
}

func chosen(q api.VolumeQuery, d *api.DatasetDetail) bool {
	return q.Chooses(d.Dataset) && (q.Status == "" || d.Status == q.Status)
}

// node returns the node that a text means: its host name, its address, its id in any
// spelling, or the beginning of its id. A text that means several is refused: a node
// chooses its host name, and must not hide another one.
func (s *session) node(text string) (*api.Node, error) {
	all, err := s.Nodes(s.ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, byHostname)
	if text == "" {
		return nil, usage.Errorf("which node? There are: %s", nodeNames(all))
	}
	return findNode(all, text)
}

// nodeInFull returns the node that a text means, with what it has.
func (s *session) nodeInFull(text string) (*api.NodeDetail, error) {
	n, err := s.node(text)
	if err != nil {
		return nil, err
	}
	return s.Node(s.ctx, n.ID)
}

// nodeOf returns the node that a flag names, and names the flag if it is missing.
func (s *session) nodeOf(flag, text string) (*api.Node, error) {
	n, err := s.node(text)
	if _, ok := errors.AsType[*usage.Error](err); ok && text == "" {
		return nil, usage.Errorf("--%s is missing: %w", flag, err)
	}
	return n, err
}

func findNode(all []*api.Node, text string) (*api.Node, error) {
	name, asName := strings.CutPrefix(text, api.RefName)
	id, asID := strings.CutPrefix(text, api.RefID)
	prefix, isPrefix := api.ParseIDPrefix(id)
	var named, begun []*api.Node
	for _, n := range all {
		if !asID && (n.Hostname == name || n.Address == name) || n.Hostname == text {
			named = append(named, n)
		}
		if isPrefix && !asName && strings.HasPrefix(string(n.ID), prefix) {
			begun = append(begun, n)
		}
	}
	found := named
	for _, n := range begun {
		if !slices.Contains(named, n) && (len(named) == 0 || len(id) >= idGiven) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, noNode(text, all)
	case 1:
		return found[0], nil
	}
	return nil, ambiguous("node", text, found, func(n *api.Node) string {
		return fmt.Sprintf("%s  %s, %s", n.ID, n.Hostname, n.Address)
	})
}

// errNoNode says that no node has a name, address or id.
var errNoNode = errors.New("there is no node")

func noNode(text string, all []*api.Node) error {
	if len(all) == 0 {
		return fmt.Errorf("%w %q: no agent has ever connected", errNoNode, text)
	}
	return fmt.Errorf("%w with the name, address or id %q; there are: %s", errNoNode, text, nodeNames(all))
}

// namesShown is how many names an error lists.
const namesShown = 20

func nodeNames(all []*api.Node) string {
	var names []string
	for i, n := range all {
		if i == namesShown {
			names = append(names, fmt.Sprintf("and %d more, see `flocker nodes list`", len(all)-i))
			break
		}
		names = append(names, n.Name())
	}
	return strings.Join(names, ", ")
}

// ambiguous lists what a text can mean.
func ambiguous[T any](what, text string, found []T, line func(T) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%q can mean any of %d %ss; give the whole id (id:ID) or the name (name:NAME):", text, len(found), what)
	for i, x := range found {
		if i == namesShown {
			fmt.Fprintf(&b, "\n  and %d more", len(found)-i)
			break
		}
		b.WriteString("\n  " + output.Clean(line(x)))
	}
	return errors.New(b.String())
}
