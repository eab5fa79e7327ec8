package clusterhq

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// flockerSize is the size that Flocker's agents gave to volumes for which none
// was asked, in bytes.
const flockerSize = 75 << 30

// Options say what the file does not.
type Options struct {
	Cluster string // UUID of the cluster
	At      time.Time
	// Backend is what agent.yml calls the storage system of the volumes. It
	// must be given where there are any.
	Backend string
	// Rename has new names for datasets, by their ids.
	Rename map[api.DatasetID]string
	// RenameOthers gives a new name to all datasets that share one with a
	// dataset which alone of them has a volume.
	RenameOthers bool
}

// Takeover is what becomes of a configuration.
type Takeover struct {
	Datasets []*api.Dataset // in the order of their ids
	Nodes    []*api.Node
	Leases   []*api.Lease             // in the order of their datasets' ids
	Expired  []Lease                  // that are not taken over
	Renamed  map[api.DatasetID]string // former names
	// Revision is that of the log with Changes. Like the epochs of the tokens
	// it is higher than those of a takeover that was tried out before.
	Revision uint64
	Changes  []cluster.Change
}

// TakeOver makes the records of a new log. Each dataset is held by its primary,
// which has its volume attached, and no other node gets it before the agent of
// that one was there or an operator has given that node up.
func (c *Configuration) TakeOver(o Options) (*Takeover, error) {
	t := &Takeover{Renamed: map[api.DatasetID]string{}, Revision: cluster.Leap(1, o.At)}
	var mistakes []error
	for _, d := range c.Datasets {
		if d.Volume != "" && o.Backend == "" {
			return nil, errors.New("there are volumes registered, so it must be said what agent.yml calls their storage system: --backend NAME")
		}
		record := d.record(o)
		for _, mistake := range cluster.CheckMetadata(record.Metadata) {
			mistakes = append(mistakes, &pathError{d.path + ".dataset", mistake.Error()})
		}
		t.Datasets = append(t.Datasets, record)
	}
	slices.SortFunc(t.Datasets, func(a, b *api.Dataset) int { return cmp.Compare(a.ID, b.ID) })
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	if err := t.rename(o); err != nil {
		return nil, err
	}
	t.holders(o)
	t.leases(c.Leases, o)
	t.Changes = append(t.Changes, cluster.Change{Key: cluster.KeyMeta, Meta: &cluster.Meta{Cluster: o.Cluster, Created: o.At}},
		cluster.Change{Key: cluster.KeyLog, Log: &cluster.Identity{ID: cluster.ImportedLog(o.Cluster), Incarnation: t.Revision}})
	for _, d := range t.Datasets {
		t.Changes = append(t.Changes, cluster.Change{Key: cluster.DatasetKey(d.ID), Dataset: d})
	}
	for _, n := range t.Nodes {
		t.Changes = append(t.Changes, cluster.Change{Key: cluster.NodeKey(n.ID), Node: n})
	}
	for _, l := range t.Leases {
		t.Changes = append(t.Changes, cluster.Change{Key: cluster.LeaseKey(l.Dataset), Lease: l})
	}
	return t, nil
}

func (d Dataset) record(o Options) *api.Dataset {
	r := &api.Dataset{
		ID: api.DatasetID(d.ID), Primary: api.NodeID(d.Primary), Pinned: !d.Deleted, Deleted: d.Deleted,
		Metadata: maps.Clone(d.Metadata), MaximumSize: d.MaximumSize, Size: max(d.MaximumSize, api.MinSize), FS: api.FSExt4,
		Created: o.At, Revision: cluster.Leap(1, o.At), Epoch: cluster.Leap(1, o.At),
	}
	if d.MaximumSize == 0 {
		r.Size = flockerSize
	}
	r.Holder = &api.Holder{Node: r.Primary, Epoch: r.Epoch, Since: o.At}
	if d.Volume != "" {
		// Of one without a maximum size nobody has noted how large it was made.
		r.Volume = &api.Volume{ID: d.Volume, Backend: o.Backend, Size: d.MaximumSize}
	}
	return r
}

// holders makes records of the nodes that hold datasets: without one, a node
// counts as one that can have nothing attached.
func (t *Takeover) holders(o Options) {
	seen := map[api.NodeID]bool{}
	for _, d := range t.Datasets {
		if !seen[d.Primary] {
			seen[d.Primary] = true
			t.Nodes = append(t.Nodes, &api.Node{ID: d.Primary, Backend: o.Backend, Since: o.At})
		}
	}
	slices.SortFunc(t.Nodes, func(a, b *api.Node) int { return cmp.Compare(a.ID, b.ID) })
}

// leases makes records of the leases that have not expired. Neither the dataset
// nor the node of one need be known.
func (t *Takeover) leases(all []Lease, o Options) {
	for _, l := range all {
		if !l.Expires.IsZero() && o.At.After(l.Expires) {
			t.Expired = append(t.Expired, l)
			continue
		}
		t.Leases = append(t.Leases, &api.Lease{
			Dataset: api.DatasetID(l.Dataset), Node: api.NodeID(l.Node), Revision: cluster.Leap(1, o.At), Acquired: o.At, Expires: l.Expires,
		})
	}
	slices.SortFunc(t.Leases, func(a, b *api.Lease) int { return cmp.Compare(a.Dataset, b.Dataset) })
}

// rename gives new names and reports which names are taken twice.
func (t *Takeover) rename(o Options) error {
	unknown := maps.Clone(o.Rename)
	for _, d := range t.Datasets {
		name, ok := o.Rename[d.ID]
		if !ok {
			continue
		}
		delete(unknown, d.ID)
		if err := cluster.CheckGivenName(string(d.ID), name); err != nil {
			return err
		}
		t.give(d, name)
	}
	for id := range unknown {
		return fmt.Errorf("there is no dataset %s to be renamed", id)
	}
	if o.RenameOthers {
		for _, d := range t.others() {
			t.give(d, suffixed(d))
		}
	}
	if names := t.duplicates(); len(names) > 0 {
		return &DuplicatesError{names}
	}
	return nil
}

func (t *Takeover) give(d *api.Dataset, name string) {
	t.Renamed[d.ID] = d.Name()
	d.Metadata[api.MetadataName] = name
}

// suffixed returns a name of its own for a dataset.
func suffixed(d *api.Dataset) string {
	const room = api.MaxNameLength - 9
	name := []rune(d.Name())
	return string(name[:min(len(name), room)]) + "-" + string(d.ID[:8])
}

// duplicates returns the live datasets that share names.
func (t *Takeover) duplicates() map[string][]*api.Dataset {
	names := map[string][]*api.Dataset{}
	for _, d := range t.Datasets {
		if name := d.Name(); name != "" && !d.Deleted {
			names[name] = append(names[name], d)
		}
	}
	maps.DeleteFunc(names, func(_ string, all []*api.Dataset) bool { return len(all) == 1 })
	return names
}

// others returns the datasets that share a name with the only one of them that
// has a volume.
func (t *Takeover) others() []*api.Dataset {
	var out []*api.Dataset
	for _, all := range t.duplicates() {
		keeper := all[suggestKeeper(all)]
		rest := slices.DeleteFunc(slices.Clone(all), func(d *api.Dataset) bool { return d == keeper })
		if keeper.Volume != nil && !slices.ContainsFunc(rest, func(d *api.Dataset) bool { return d.Volume != nil }) {
			out = append(out, rest...)
		}
	}
	return out
}

// suggestKeeper returns which of datasets of one name most likely should keep it.
func suggestKeeper(all []*api.Dataset) int {
	return max(0, slices.IndexFunc(all, func(d *api.Dataset) bool { return d.Volume != nil }))
}

// DuplicatesError says that live datasets share names, which must be unique
// here. It cannot be known which of them an app means by the name.
type DuplicatesError struct{ Names map[string][]*api.Dataset }

func (e *DuplicatesError) Error() string {
	var text strings.Builder
	text.WriteString("several live datasets have the same name, and names are unique here:\n")
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(e.Names)) {
		all := e.Names[name]
		fmt.Fprintf(&text, "  %s\n", name)
		keeper := suggestKeeper(all)
		for i, d := range all {
			volume := "no volume registered"
			if d.Volume != nil {
				volume = "volume " + d.Volume.ID
			}
			size := "no size asked"
			if d.MaximumSize > 0 {
				size = api.FormatSize(d.MaximumSize)
			}
			fmt.Fprintf(&text, "    %s  %s, on node %s, %s\n", d.ID, size, d.Primary, volume)
			if i != keeper {
				flags = append(flags, fmt.Sprintf("--rename '%s=%s'", d.ID, strings.ReplaceAll(suffixed(d), "'", `'\''`)))
			}
		}
	}
	fmt.Fprintf(&text, "Say which of them keeps the name that apps ask for, by giving the others another one, for example\n  %s\n", strings.Join(flags, " \\\n  "))
	text.WriteString("or give --rename others where exactly one of them has a volume: that one keeps the name")
	return text.String()
}
