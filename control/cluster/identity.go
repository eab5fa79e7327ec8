package cluster

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/api"
)

// kindLog is of the record of which log this is. It is a record of its own, and
// no part of Meta, so that an older version that writes Meta cannot drop it.
const kindLog = "log"

// KeyLog names the record of which log this is.
const KeyLog Key = kindLog

// Identity is the record of which log this is.
type Identity struct {
	ID          string         `json:"id"`          // UUID, made with the log; a restore keeps it
	Incarnation uint64         `json:"incarnation"` // the revision at which the log was begun or restored
	Replaces    []string       `json:"replaces,omitempty"`
	Starts      []api.LogStart `json:"starts,omitempty"` // of replicas, newest last
}

// maxStarts bounds the starts of replicas that a log remembers.
const maxStarts = 32

// started returns the record of which log this is after a replica has started.
func (s *State) started(id api.ReplicaID) Change {
	i := identity(s.log, s.meta)
	i.Starts = append(slices.Clone(i.Starts), api.LogStart{ID: string(id), Revision: s.revision + 1})
	i.Starts = i.Starts[max(0, len(i.Starts)-maxStarts):]
	return putIdentity(&i)
}

// maxReplaced bounds the logs that a log remembers to have replaced.
const maxReplaced = 16

// NewIdentity returns the first records of a new log.
func NewIdentity(id string, meta Meta) []Change {
	return []Change{{Key: KeyMeta, Meta: &meta}, putIdentity(&Identity{ID: id, Incarnation: 1})}
}

func putIdentity(i *Identity) Change { return Change{Key: KeyLog, Log: i} }

// identity returns which log the records are of. A log that was begun by a
// version without ids has one all the same, which follows from its first record:
// so all replicas agree on it, and a backup of then has the same.
func identity(i *Identity, m *Meta) Identity {
	if i != nil {
		return *i
	}
	name := "log\x00" + m.Cluster + "\x00" + m.Created.UTC().Format(time.RFC3339Nano)
	return Identity{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String()}
}

// ImportedLog returns the id of a log that is begun with what another program
// knew of a cluster. It is the same each time, since an import may be repeated.
func ImportedLog(cluster string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("import\x00"+cluster)).String()
}

// Identity returns which log s is of, and at which revision. It has no ID while
// the log is empty.
func (s *State) Identity() api.LogIdentity {
	if s.meta == nil {
		return api.LogIdentity{Revision: s.revision}
	}
	i := identity(s.log, s.meta)
	return api.LogIdentity{ID: i.ID, Incarnation: i.Incarnation, Revision: s.revision, Replaces: slices.Clone(i.Replaces), Starts: i.Starts}
}

// restoredIdentity keeps the id, and notes which logs the restored one is put in
// place of.
func restoredIdentity(old Identity, revision uint64, replaced []string) *Identity {
	i := &Identity{ID: old.ID, Incarnation: revision}
	for _, id := range append(slices.Clone(old.Replaces), replaced...) {
		if id != "" && id != i.ID && !slices.Contains(i.Replaces, id) {
			i.Replaces = append(i.Replaces, id)
		}
	}
	i.Replaces = i.Replaces[max(0, len(i.Replaces)-maxReplaced):]
	return i
}
