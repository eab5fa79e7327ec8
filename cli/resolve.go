package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// idText is what can be the beginning of an id, and uuidText a whole one.
var (
	idText   = regexp.MustCompile(`^[0-9a-fA-F]{1,8}(-[0-9a-fA-F-]{0,27})?$`)
	uuidText = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// volume returns the dataset that a person means: by its name or id, else by the
// beginning of its id. A deleted one can only be meant by its id. The control
// service looks it up: there may be ten thousand of them.
func (s *session) volume(text string) (*api.DatasetDetail, error) {
	if text == "" {
		return nil, usage.Errorf("which volume? Its name, or the beginning of its id, is missing")
	}
	d, err := s.Volume(s.ctx, text)
	if id := strings.ToLower(text); api.CodeOf(err) == api.CodeNotFound && id != text && uuidText.MatchString(text) {
		d, err = s.Volume(s.ctx, id)
	}
	if api.CodeOf(err) != api.CodeNotFound {
		return d, err
	}
	if !idText.MatchString(text) {
		return nil, noVolume(text)
	}
	prefix := strings.ToLower(text)
	found, err := s.volumes(api.VolumeQuery{ID: prefix, Gone: true})
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, noVolume(text)
	case 1:
		return found[0], nil
	}
	return nil, ambiguous("volume", text, found, func(d *api.DatasetDetail) string {
		return fmt.Sprintf("%s  %s, %s", d.Dataset.ID, volumeName(d), d.Status)
	})
}

// errNoVolume is what an error about a volume that there is not wraps.
var errNoVolume = errors.New("there is no volume")

func noVolume(text string) error {
	return fmt.Errorf("%w with the name or id %q; `flocker volumes list` shows all, with --deleted also those that are gone", errNoVolume, text)
}

// dying returns the dataset that a person means who waits for its end: one whose
// name is free again has it still, in the eyes of that person.
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

// node returns the node that a person means: by its host name or address, else
// by its id or the beginning of that.
func (s *session) node(text string) (*api.Node, error) {
	if uuidText.MatchString(text) {
		n, err := s.Node(s.ctx, api.NodeID(strings.ToLower(text)))
		if api.CodeOf(err) == api.CodeNotFound {
			return nil, noNode(text, nil)
		}
		if err != nil {
			return nil, err
		}
		return n.Node, nil
	}
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

// idGiven is from how many characters on a text is taken for the beginning of an id,
// also where a node is called so.
const idGiven = 6

func findNode(all []*api.Node, text string) (*api.Node, error) {
	var named, begun []*api.Node
	for _, n := range all {
		if n.Hostname == text || n.Address == text {
			named = append(named, n)
		}
		if strings.HasPrefix(string(n.ID), strings.ToLower(text)) {
			begun = append(begun, n)
		}
	}
	found := named
	for _, n := range begun {
		// A node chooses its host name: it must not hide the node that an id means.
		if !slices.Contains(named, n) && (len(named) == 0 || len(text) >= idGiven) {
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

func noNode(text string, all []*api.Node) error {
	if len(all) == 0 {
		return fmt.Errorf("there is no node with the id %q; `flocker nodes list` shows all", text)
	}
	return fmt.Errorf("there is no node with the name, address or id %q; there are: %s", text, nodeNames(all))
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
	fmt.Fprintf(&b, "%q can be any of %d %ss; give more of its id:", text, len(found), what)
	for i, x := range found {
		if i == namesShown {
			fmt.Fprintf(&b, "\n  and %d more", len(found)-i)
			break
		}
		b.WriteString("\n  " + line(x))
	}
	return errors.New(b.String())
}
