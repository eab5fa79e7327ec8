package consul

import (
	"bytes"
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
)

func ownChanges(records ...store.Record) []change { return newChanges(records) }

func TestOwnCommitsNeedNotBeRead(t *testing.T) {
	var o own
	o.add(5, ownChanges(store.Record{Key: "a", Value: []byte("5")}, store.Record{Key: "b", Value: []byte("5")}))
	o.add(6, ownChanges(store.Record{Key: "a", Value: []byte("6")}, store.Record{Key: "c"}))
	up, ok := o.since(4, 6)
	if !ok || up.Revision != 6 || len(up.Changes) != 3 || string(up.Changes[0].Value) != "6" || up.Changes[2].Value != nil {
		t.Errorf("since 4: got %v, %v", up, ok)
	}
	if up, ok := o.since(5, 6); !ok || len(up.Changes) != 2 {
		t.Errorf("since 5: got %v, %v, want two changes", up, ok)
	}
	clear(up.Changes[0].Value)
	if up, _ := o.since(5, 6); string(up.Changes[0].Value) != "6" {
		t.Errorf("got %q, want what was returned before to be the caller's", up.Changes[0].Value)
	}
	for name, span := range map[string][2]uint64{"before the first": {3, 6}, "another's after the last": {5, 7}, "not the last": {4, 5}} {
		if up, ok := o.since(span[0], span[1]); ok {
			t.Errorf("%s: got %v, want that it must be read", name, up)
		}
	}
	o.add(8, ownChanges(store.Record{Key: "a", Value: []byte("8")}))
	if up, ok := o.since(6, 8); ok {
		t.Errorf("with another's commit between: got %v, want that it must be read", up)
	}
	if _, ok := o.since(7, 8); !ok {
		t.Error("the commit after another's must be read")
	}
}

func TestOwnCommitsAreForgotten(t *testing.T) {
	var o own
	for revision := uint64(1); revision <= 10; revision++ {
		o.add(revision, ownChanges(store.Record{Key: "a", Value: bytes.Repeat([]byte{1}, maxOwnBytes/4)}))
	}
	if o.bytes > maxOwnBytes || len(o.commits) == 0 || len(o.commits) > 4 {
		t.Errorf("%d commits of %d bytes are remembered, want some of at most %d", len(o.commits), o.bytes, maxOwnBytes)
	}
	o = own{}
	for revision := uint64(1); revision <= 2*history; revision++ {
		o.add(revision, ownChanges(store.Record{Key: "a", Value: []byte("v")}))
	}
	if len(o.commits) != history {
		t.Errorf("%d commits are remembered, want %d", len(o.commits), history)
	}
}
