package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Schema is the version of the records that this program writes. It rises with
// every change that an older version would misread or drop.
const Schema = 6

// Key names a record in the log.
type Key string

// Kinds of records: what a key begins with.
const (
	kindMeta    = "meta"
	kindDataset = "datasets"
	kindState   = "states"
	kindNode    = "nodes"
	kindReplica = "replicas"
	kindBarred  = "barred"
	kindLease   = "leases"
	kindApp     = "apps"
	kindHint    = "hints"
	kindJob     = "jobs"
	kindSet     = "sets"
	kindEnding  = "endings"
	kindOrphan  = "orphans"
)

// KeyMeta names the record about the log itself.
const KeyMeta Key = kindMeta

// KeyBarred names the record of requests that were tried again lately.
const KeyBarred Key = kindBarred

// DatasetKey names the record of a dataset.
func DatasetKey(id api.DatasetID) Key { return Key(kindDataset + "/" + string(id)) }

// StateKey names the record of what was last reported about a dataset.
func StateKey(id api.DatasetID) Key { return Key(kindState + "/" + string(id)) }

// NodeKey names the record of a node.
func NodeKey(id api.NodeID) Key { return Key(kindNode + "/" + string(id)) }

// ReplicaKey names the record of a replica.
func ReplicaKey(id api.ReplicaID) Key { return Key(kindReplica + "/" + string(id)) }

// LeaseKey names the record of the lease of a dataset.
func LeaseKey(id api.DatasetID) Key { return Key(kindLease + "/" + string(id)) }

// maxAppKey is how much of an app's id goes into a key, which is bounded.
const maxAppKey = 200

// AppKey names the record of an app or pod of Marathon's, by its id. One that is
// too long for a key, or of other characters, has a hash in its place.
func AppKey(id string) Key {
	id = strings.TrimPrefix(id, "/")
	if len(id) > maxAppKey || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return Key(kindApp + "/" + id)
}

// HintKey names the record of the hint about a dataset.
func HintKey(id api.DatasetID) Key { return Key(kindHint + "/" + string(id)) }

// EndingKey names the record of the newest end of an instance on a node.
func EndingKey(node api.NodeID) Key { return Key(kindEnding + "/" + string(node)) }

// JobKey names the record of a job.
func JobKey(name string) Key { return Key(kindJob + "/" + name) }

// SetKey names the record of a volume set.
func SetKey(name string) Key { return Key(kindSet + "/" + setID(name)) }

// Dataset returns which dataset's record k names, if it names one.
func (k Key) Dataset() (id api.DatasetID, ok bool) { return named[api.DatasetID](k, kindDataset) }

// State returns of which dataset k names the last report, if it does.
func (k Key) State() (id api.DatasetID, ok bool) { return named[api.DatasetID](k, kindState) }

// Node returns which node's record k names, if it names one.
func (k Key) Node() (id api.NodeID, ok bool) { return named[api.NodeID](k, kindNode) }

// Replica returns which replica's record k names, if it names one.
func (k Key) Replica() (id api.ReplicaID, ok bool) { return named[api.ReplicaID](k, kindReplica) }

// Lease returns of which dataset k names the lease, if it does.
func (k Key) Lease() (id api.DatasetID, ok bool) { return named[api.DatasetID](k, kindLease) }

// Hint returns about which dataset k names the hint, if it does.
func (k Key) Hint() (id api.DatasetID, ok bool) { return named[api.DatasetID](k, kindHint) }

// Ending returns on which node the end is whose record k names, if it names one.
func (k Key) Ending() (node api.NodeID, ok bool) { return named[api.NodeID](k, kindEnding) }

// App reports whether k names the record of an app or pod of Marathon's.
func (k Key) App() bool {
	kind, _ := k.split()
	return kind == kindApp
}

// Job returns which job's record k names, if it names one.
func (k Key) Job() (name string, ok bool) { return named[string](k, kindJob) }

// named returns what k names, and whether that is of a kind.
func named[T ~string](k Key, of string) (name T, ok bool) {
	kind, rest := k.split()
	return T(rest), kind == of
}

func (k Key) split() (kind, id string) {
	kind, id, _ = strings.Cut(string(k), "/")
	return kind, id
}

// Meta is the record about the log itself.
type Meta struct {
	Cluster  string       `json:"cluster"` // UUID of the cluster, from its certificates
	Created  time.Time    `json:"created"`
	Restored time.Time    `json:"restored,omitzero"` // from a backup, at last
	Settings api.Settings `json:"settings"`          // that all replicas run with
	// Tenancy is "" in a log of before there were owners, which means TenancyShared.
	Tenancy api.Tenancy `json:"tenancy,omitempty"`
	// Quotas are by owner, and one by api.QuotaDefault.
	Quotas map[string]api.Quota `json:"quotas,omitempty"`
	// Removed is above the streams of all nodes that were removed. Those of new nodes
	// begin above it: what comes late on a removed node's stream still counts for nothing
	// if the node registers again.
	Removed uint64 `json:"removed,omitempty"`
}

// Change is a record with its new value: the one field that goes with the key.
// Without a value the record goes away.
type Change struct {
	Key     Key
	Meta    *Meta
	Dataset *api.Dataset
	State   *api.DatasetState
	Node    *api.Node
	Replica *api.Replica
	Barred  *Barred
	Lease   *api.Lease
	App     *api.App
	Hint    *api.Hint
	Job     *api.Job
	Set     *api.VolumeSet
	Ending  *api.Ending
	Log     *Identity
	Damaged *Damaged
	Orphan  *api.Orphan
}

func putDataset(d *api.Dataset) Change { return Change{Key: DatasetKey(d.ID), Dataset: d} }

func putState(s *api.DatasetState) Change { return Change{Key: StateKey(s.ID), State: s} }

func putNode(n *api.Node) Change { return Change{Key: NodeKey(n.ID), Node: n} }

func putReplica(r *api.Replica) Change { return Change{Key: ReplicaKey(r.ID), Replica: r} }

func putLease(l *api.Lease) Change { return Change{Key: LeaseKey(l.Dataset), Lease: l} }

func putApp(a *api.App) Change { return Change{Key: AppKey(a.ID), App: a} }

func putHint(h *api.Hint) Change { return Change{Key: HintKey(h.Dataset), Hint: h} }

func putEnding(e *api.Ending) Change { return Change{Key: EndingKey(e.Node), Ending: e} }

func putJob(j *api.Job) Change { return Change{Key: JobKey(j.Name), Job: j} }

// envelope is how a record is stored.
type envelope struct {
	Schema int             `json:"schema"`
	Record json.RawMessage `json:"record"`
}

// Encode returns a change's value as it is stored, nil where the record goes away.
func Encode(c Change) ([]byte, error) {
	var record any
	switch {
	case c.Meta != nil:
		record = c.Meta
	case c.Dataset != nil:
		record = c.Dataset
	case c.State != nil:
		record = c.State
	case c.Node != nil:
		record = c.Node
	case c.Replica != nil:
		record = c.Replica
	case c.Barred != nil:
		record = c.Barred
	case c.Lease != nil:
		record = c.Lease
	case c.App != nil:
		record = c.App
	case c.Hint != nil:
		record = c.Hint
	case c.Job != nil:
		record = c.Job
	case c.Set != nil:
		record = c.Set
	case c.Ending != nil:
		record = c.Ending
	case c.Log != nil:
		record = c.Log
	case c.Damaged != nil:
		record = c.Damaged
	case c.Orphan != nil:
		record = c.Orphan
	default:
		return nil, nil
	}
	value, err := json.Marshal(struct {
		Schema int `json:"schema"`
		Record any `json:"record"`
	}{Schema, record})
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", c.Key, err)
	}
	return value, nil
}

// NewerError says that a record was written by a newer version of the control
// service. It must be left alone.
type NewerError struct {
	Key    Key
	Schema int // 0 where the kind of record is not known at all
}

func (e *NewerError) Error() string {
	if e.Schema == 0 {
		return fmt.Sprintf("record %s is of a kind that this version does not know", e.Key)
	}
	return fmt.Sprintf("record %s was written by a newer version (schema %d, this one knows %d)", e.Key, e.Schema, Schema)
}

// Decode turns a stored record into the change that puts it into a State. An
// error is a *NewerError or says how the record is damaged.
func Decode(key Key, value []byte) (Change, error) {
	c := Change{Key: key}
	kind, id := key.split()
	var record any
	switch kind {
	case kindMeta:
		c.Meta = &Meta{}
		record = c.Meta
	case kindDataset:
		c.Dataset = &api.Dataset{}
		record = c.Dataset
	case kindState:
		c.State = &api.DatasetState{}
		record = c.State
	case kindNode:
		c.Node = &api.Node{}
		record = c.Node
	case kindReplica:
		c.Replica = &api.Replica{}
		record = c.Replica
	case kindBarred:
		c.Barred = &Barred{}
		record = c.Barred
	case kindLease:
		c.Lease = &api.Lease{}
		record = c.Lease
	case kindApp:
		c.App = &api.App{}
		record = c.App
	case kindHint:
		c.Hint = &api.Hint{}
		record = c.Hint
	case kindJob:
		c.Job = &api.Job{}
		record = c.Job
	case kindSet:
		c.Set = &api.VolumeSet{}
		record = c.Set
	case kindEnding:
		c.Ending = &api.Ending{}
		record = c.Ending
	case kindLog:
		c.Log = &Identity{}
		record = c.Log
	case kindDamaged:
		c.Damaged = &Damaged{}
		record = c.Damaged
	case kindOrphan:
		c.Orphan = &api.Orphan{}
		record = c.Orphan
	default:
		return Change{}, &NewerError{Key: key}
	}
	if len(value) == 0 {
		return Change{Key: key}, nil
	}
	var e envelope
	if err := json.Unmarshal(value, &e); err != nil {
		return Change{}, fmt.Errorf("record %s is damaged: %w", key, err)
	}
	if e.Schema > Schema {
		return Change{}, &NewerError{Key: key, Schema: e.Schema}
	}
	if e.Schema < 1 {
		return Change{}, fmt.Errorf("record %s is damaged: schema %d", key, e.Schema)
	}
	if err := json.Unmarshal(e.Record, record); err != nil {
		return Change{}, fmt.Errorf("record %s is damaged: %w", key, err)
	}
	if err := c.sound(id); err != nil {
		return Change{}, fmt.Errorf("record %s is damaged: %w", key, err)
	}
	return c, nil
}

// sound reports why a decoded record cannot be what was written.
func (c Change) sound(id string) error {
	switch {
	case !c.belongsTo(id):
		return errors.New("it does not belong to its key")
	case c.Dataset != nil:
		return soundDataset(c.Dataset)
	case c.Lease != nil && c.Lease.Node == "":
		return errors.New("it is of no node")
	}
	return nil
}

// belongsTo reports whether a record is the one that its key names.
func (c Change) belongsTo(id string) bool {
	named := func(record string) bool { return id != "" && record == id }
	switch {
	case c.Meta != nil:
		return id == "" && c.Meta.Cluster != ""
	case c.Barred != nil:
		return id == ""
	case c.Log != nil:
		return id == "" && c.Log.ID != ""
	case c.Dataset != nil:
		return named(string(c.Dataset.ID))
	case c.State != nil:
		return named(string(c.State.ID))
	case c.Node != nil:
		return named(string(c.Node.ID))
	case c.Replica != nil:
		return named(string(c.Replica.ID))
	case c.Lease != nil:
		return named(string(c.Lease.Dataset))
	case c.App != nil:
		return AppKey(c.App.ID) == AppKey(id) && id != ""
	case c.Hint != nil:
		return named(string(c.Hint.Dataset))
	case c.Job != nil:
		return named(c.Job.Name)
	case c.Set != nil:
		return c.Set.Name != "" && setID(c.Set.Name) == id
	case c.Ending != nil:
		return named(string(c.Ending.Node))
	case c.Damaged != nil:
		return named(string(c.Damaged.Key))
	case c.Orphan != nil:
		return c.Orphan.Dataset != "" && named(OrphanID(c.Orphan.Volume))
	default:
		return true
	}
}

func soundDataset(d *api.Dataset) error {
	switch {
	case d.Holder != nil && d.Holder.Epoch != d.Epoch:
		return fmt.Errorf("its holder's epoch %d is not its epoch %d", d.Holder.Epoch, d.Epoch)
	case d.Holder == nil && len(d.Waiting) > 0:
		return errors.New("nodes wait for it although no node holds it")
	case d.Fence != nil && (d.Holder == nil || d.Fence.Holder != d.Holder.Node || d.Fence.Epoch != d.Epoch || d.Fence.Node == d.Holder.Node):
		return errors.New("the fence is not about its holder")
	case d.Member != nil && (d.Member.Set == "" || d.Member.Index < 0 || d.Member.Index >= api.MaxMembers):
		return fmt.Errorf("it is member %d of the volume set %q", d.Member.Index, d.Member.Set)
	case len(d.Shared) > api.MaxShares:
		return fmt.Errorf("it is shared with %d owners", len(d.Shared))
	}
	return nil
}

// PutStored puts a stored record into a Clone that nobody else sees yet; an
// empty value takes it away. Records of newer versions are kept in mind as such
// and reported as *NewerError, other errors mean damage.
func (s *State) PutStored(key Key, value []byte) error {
	c, err := Decode(key, value)
	if err == nil {
		s.Put(c)
		return nil
	}
	if newer, ok := errors.AsType[*NewerError](err); ok {
		if newer.Schema == 0 && len(value) == 0 {
			return nil // a record of an unknown kind went away
		}
		s.Put(Change{Key: key}) // what was known of it is out of date
		s.newer.Set(key, newer.Schema)
	}
	return err
}
