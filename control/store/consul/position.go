package consul

import (
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
)

// errStale says that what was read is older than what was known before.
var errStale = errors.New("a Consul server answered with an old state")

// newest returns the newest head that was seen, nil if none, and what is
// closed when there is a newer one.
func (l *Log) newest() (*position, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen, l.changed
}

// position returns what head is according to a key that was read, which may
// not exist.
func (l *Log) position(pair *api.KVPair) (position, error) {
	if pair == nil || pair.ModifyIndex == 0 {
		return position{}, nil
	}
	h, err := decodeHead(pair.Value)
	switch {
	case errors.Is(err, errNewer):
		return position{}, fmt.Errorf("read %s: %w", l.name, err)
	case err != nil:
		return position{}, l.damaged("has a head that cannot be read", err)
	}
	return position{head: h, index: pair.ModifyIndex}, nil
}

// observe takes note of a head that was read. Before is the newest one that was
// known when the reading began. Where current says that nothing older than
// that may have been read, a log that does not continue it is damaged; else
// the reading is errStale.
func (l *Log) observe(before *position, at position, current bool) error {
	if before != nil {
		if what := at.breaks(before.head); what != "" {
			if !current {
				return errStale
			}
			return l.damaged(what, store.ErrRewound)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.Revision > 0 { // an empty log is one without records too, see load
		l.advance(at)
	}
	if l.known != nil && l.known.Revision == at.Revision {
		l.known.position = at // somebody may have touched it without changing it
	}
	return nil
}

// advance makes a head the newest that was seen, if it is, and wakes who waits
// for it. The lock is held.
func (l *Log) advance(at position) {
	if l.seen != nil && l.seen.Revision >= at.Revision {
		return
	}
	l.seen = &at
	close(l.changed)
	l.changed = make(chan struct{})
}

// breaks says how a head cannot have come after an earlier one, "" if it can.
func (h head) breaks(before head) string {
	switch {
	case before.Revision == 0:
		return ""
	case h.Revision == 0:
		return fmt.Sprintf("is empty, but was at revision %d", before.Revision)
	case h.Log != before.Log:
		return fmt.Sprintf("is another log than the one that was at revision %d", before.Revision)
	case h.Revision < before.Revision:
		return fmt.Sprintf("is at revision %d, but was at %d", h.Revision, before.Revision)
	}
	was, ok := before.recent(before.Revision)
	is, same := h.recent(before.Revision)
	if ok && same && was.ID != is.ID {
		return fmt.Sprintf("has another commit at revision %d than it had", before.Revision)
	}
	return ""
}
