package consul

import (
	"bytes"

	"github.com/flocker-mesos/flocker/control/store"
)

// maxOwnBytes bounds how much of its own commits a process remembers.
const maxOwnBytes = 1 << 20

// own are the last commits of this process that nobody else's interrupted:
// whoever follows them need not read from Consul what was just sent there.
type own struct {
	commits []ownCommit
	bytes   int
}

type ownCommit struct {
	revision uint64
	changes  []change
	bytes    int
}

// add adds a commit. Its changes are not the caller's any more.
func (o *own) add(revision uint64, changes []change) {
	if n := len(o.commits); n > 0 && o.commits[n-1].revision+1 != revision {
		*o = own{}
	}
	c := ownCommit{revision: revision, changes: changes}
	for _, change := range changes {
		c.bytes += len(change.Key) + len(change.Value)
	}
	o.commits = append(o.commits, c)
	o.bytes += c.bytes
	for o.bytes > maxOwnBytes || len(o.commits) > history {
		o.bytes -= o.commits[0].bytes
		o.commits[0] = ownCommit{}
		o.commits = o.commits[1:]
	}
}

// since returns what changed from one revision to another, if all of it was
// committed by this process.
func (o *own) since(after, revision uint64) (store.Update, bool) {
	n := len(o.commits)
	if n == 0 || o.commits[n-1].revision != revision || o.commits[0].revision > after+1 {
		return store.Update{}, false
	}
	up := store.Update{Revision: revision}
	at := map[string]int{}
	for _, c := range o.commits[after+1-o.commits[0].revision:] {
		for _, change := range c.changes {
			record := store.Record{Key: change.Key, Value: bytes.Clone(change.Value)}
			if i, ok := at[change.Key]; ok {
				up.Changes[i] = record
				continue
			}
			at[change.Key] = len(up.Changes)
			up.Changes = append(up.Changes, record)
		}
	}
	return up, true
}
