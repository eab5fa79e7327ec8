// Package clusterhq reads what ClusterHQ's Flocker, up to its last version 1.15,
// keeps in its control service's current_configuration.json, and makes records
// of it for a new cluster. It is strict: what it does not understand may be what
// keeps two machines from one volume.
package clusterhq

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// newest is the version of the file that the last release writes. A file of
// version 1 says so by its name only, current_configuration.v1.json.
const newest = 6

// Configuration is what the file says of datasets.
type Configuration struct {
	Version  int
	Datasets []Dataset
	Leases   []Lease
	// What else is there and has no place here.
	Replicas     int // copies of datasets on further nodes, which only ZFS had
	Applications int // containers that Flocker itself ran
	Strays       []Volume

	places map[string]int // of Datasets, by their ids
}

// Dataset is a dataset, with the volume that was registered for it.
type Dataset struct {
	ID          string
	Primary     string // UUID of the node
	Deleted     bool
	MaximumSize int64 // bytes, 0 where none was asked for
	Metadata    map[string]string
	Volume      string // what the backend calls it, "" where none is registered
	path        string
}

// Lease is a promise that a node is using a dataset.
type Lease struct {
	Dataset, Node string
	Expires       time.Time // zero for never
}

// Volume is one that is registered for a dataset that is not configured.
type Volume struct{ Dataset, ID string }

// Parse reads the text of a file of any version.
func Parse(text []byte) (*Configuration, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	c := &Configuration{Version: 1, places: map[string]int{}}
	deployment := root
	if fields, ok := root.v.(map[string]any); !ok || fields[classKey] != "Deployment" {
		o, err := root.object("Configuration", "version", "deployment")
		if err != nil {
			return nil, err
		}
		version, err := o.get("version").integer()
		if err != nil {
			return nil, err
		}
		if version < 2 || version > newest {
			return nil, o.get("version").errorf("is %d, and known are 2 to %d", version, newest)
		}
		c.Version, deployment = int(version), o.get("deployment")
	}
	if err := c.deployment(deployment); err != nil {
		return nil, err
	}
	return c, nil
}

// keys of a deployment, by the version that added them.
func (c *Configuration) keys() []string {
	keys := []string{"nodes"}
	if c.Version >= 3 {
		keys = append(keys, "leases")
	}
	if c.Version >= 4 {
		keys = append(keys, "persistent_state")
	}
	return keys
}

func (c *Configuration) deployment(v value) error {
	o, err := v.object("Deployment", c.keys()...)
	if err != nil {
		return err
	}
	if o.has("nodes") || c.Version > 1 {
		if err := c.nodes(o.get("nodes")); err != nil {
			return err
		}
	}
	if c.Version >= 3 {
		if err := c.leases(o.get("leases")); err != nil {
			return err
		}
	}
	if c.Version >= 4 {
		return c.ownership(o.get("persistent_state"))
	}
	return nil
}

// nodes are a list up to version 4, and a map by their UUIDs from 5.
func (c *Configuration) nodes(v value) error {
	seen := map[string]bool{}
	if c.Version < 5 {
		nodes, err := v.list()
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if _, err := c.node(n, seen); err != nil {
				return err
			}
		}
		return nil
	}
	nodes, err := v.pairs()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		id, err := n.key.id()
		if err != nil {
			return err
		}
		got, err := c.node(n.value, seen)
		if err != nil {
			return err
		}
		if got != id {
			return n.value.errorf("is node %s under the key %s", got, id)
		}
	}
	return nil
}

func (c *Configuration) node(v value, seen map[string]bool) (string, error) {
	o, err := v.object("Node", "uuid", "applications", "manifestations")
	if err != nil {
		return "", err
	}
	id, err := o.get("uuid").id()
	if err != nil {
		return "", err
	}
	if seen[id] {
		return "", v.errorf("is node %s, which is there twice", id)
	}
	seen[id] = true
	// Containers are not taken over, so nothing in them has to be understood:
	// their datasets are among the manifestations.
	applications := o.get("applications")
	if c.Version < 5 {
		all, err := applications.list()
		if err != nil {
			return "", err
		}
		c.Applications += len(all)
	} else {
		all, err := applications.pairs()
		if err != nil {
			return "", err
		}
		c.Applications += len(all)
	}
	manifestations, err := o.get("manifestations").pairs()
	if err != nil {
		return "", err
	}
	for _, m := range manifestations {
		if err := c.manifestation(m, id); err != nil {
			return "", err
		}
	}
	return id, nil
}

// manifestation is a dataset on a node: itself, or a copy.
func (c *Configuration) manifestation(p pair, node string) error {
	id, err := p.key.idText()
	if err != nil {
		return err
	}
	o, err := p.value.object("Manifestation", "dataset", "primary")
	if err != nil {
		return err
	}
	primary, err := o.get("primary").boolean()
	if err != nil {
		return err
	}
	d, err := dataset(o.get("dataset"))
	if err != nil {
		return err
	}
	if d.ID != id {
		return o.get("dataset").errorf("is dataset %s under the key %s", d.ID, id)
	}
	if !primary {
		c.Replicas++
		return nil
	}
	if other, taken := c.places[id]; taken {
		return o.errorf("is dataset %s, which is on another node already, at %s", id, c.Datasets[other].path)
	}
	c.places[id] = len(c.Datasets)
	d.Primary, d.path = node, o.place()
	c.Datasets = append(c.Datasets, d)
	return nil
}

func dataset(v value) (Dataset, error) {
	o, err := v.object("Dataset", "dataset_id", "deleted", "maximum_size", "metadata")
	if err != nil {
		return Dataset{}, err
	}
	d := Dataset{Metadata: map[string]string{}}
	if d.ID, err = o.get("dataset_id").idText(); err != nil {
		return Dataset{}, err
	}
	if d.Deleted, err = o.get("deleted").boolean(); err != nil {
		return Dataset{}, err
	}
	if size := o.get("maximum_size"); size.v != nil {
		if d.MaximumSize, err = size.integer(); err != nil {
			return Dataset{}, err
		}
		if d.MaximumSize <= 0 {
			return Dataset{}, size.errorf("is %d bytes, which is no size", d.MaximumSize)
		}
		if d.MaximumSize > api.DefaultMaxSize {
			return Dataset{}, size.errorf("is %d bytes, more than the largest size of a dataset, %d: delete that dataset in the old cluster first",
				d.MaximumSize, int64(api.DefaultMaxSize))
		}
	}
	entries, err := o.get("metadata").pairs()
	if err != nil {
		return Dataset{}, err
	}
	for _, e := range entries {
		key, err := e.key.text()
		if err != nil {
			return Dataset{}, err
		}
		if _, twice := d.Metadata[key]; twice {
			return Dataset{}, e.key.errorf("is the key %s, which is there twice", shown(key))
		}
		if d.Metadata[key], err = e.value.text(); err != nil {
			return Dataset{}, err
		}
	}
	return d, nil
}

func (c *Configuration) leases(v value) error {
	leases, err := v.pairs()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range leases {
		id, err := l.key.id()
		if err != nil {
			return err
		}
		lease, err := lease(l.value)
		if err != nil {
			return err
		}
		if lease.Dataset != id {
			return l.value.errorf("is the lease of dataset %s under the key %s", lease.Dataset, id)
		}
		if seen[id] {
			return l.key.errorf("is dataset %s, which has a lease already", id)
		}
		seen[id] = true
		c.Leases = append(c.Leases, lease)
	}
	return nil
}

func lease(v value) (Lease, error) {
	o, err := v.object("Lease", "dataset_id", "node_id", "expiration")
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if l.Dataset, err = o.get("dataset_id").id(); err != nil {
		return Lease{}, err
	}
	if l.Node, err = o.get("node_id").id(); err != nil {
		return Lease{}, err
	}
	expiration := o.get("expiration")
	if expiration.v == nil {
		return l, nil
	}
	at, err := expiration.object("datetime", "seconds")
	if err != nil {
		return Lease{}, err
	}
	seconds, err := at.get("seconds").integer()
	if err != nil {
		return Lease{}, err
	}
	if seconds < firstSecond || seconds > lastSecond {
		return Lease{}, at.get("seconds").errorf("is %d, which is no date", seconds)
	}
	l.Expires = time.Unix(seconds, 0).UTC()
	return l, nil
}

// What Flocker's dates are between: the years 1 and 9999.
const firstSecond, lastSecond = -62135510400, 253402300799

// ownership says which volume is a dataset's, whatever others carry its id.
func (c *Configuration) ownership(v value) error {
	o, err := v.object("PersistentState", "blockdevice_ownership")
	if err != nil {
		return err
	}
	owned, err := o.get("blockdevice_ownership").pairs()
	if err != nil {
		return err
	}
	datasets, volumes := map[string]bool{}, map[string]string{}
	for _, e := range owned {
		id, err := e.key.id()
		if err != nil {
			return err
		}
		volume, err := e.value.text()
		if err != nil {
			return err
		}
		switch other, taken := volumes[volume]; {
		case volume == "" || len(volume) > maxVolumeID:
			return e.value.errorf("is %s, which is no id of a volume", shown(volume))
		case datasets[id]:
			return e.key.errorf("is dataset %s, which has a volume already", id)
		case taken:
			return e.value.errorf("is volume %s of dataset %s, which is dataset %s's already", shown(volume), id, other)
		}
		datasets[id], volumes[volume] = true, id
		if i, ok := c.places[id]; ok {
			c.Datasets[i].Volume = volume
		} else {
			c.Strays = append(c.Strays, Volume{Dataset: id, ID: volume})
		}
	}
	return nil
}

// maxVolumeID is what the model takes, in bytes.
const maxVolumeID = 1024
