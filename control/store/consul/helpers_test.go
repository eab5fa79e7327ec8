package consul_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
)

// commitPatience is how long a commit is tried, and pause between two tries.
const (
	commitPatience = 2 * time.Minute
	pause          = 20 * time.Millisecond
)

func put(key, value string) store.Record { return store.Record{Key: key, Value: []byte(value)} }

func newBatch(after uint64, changes ...store.Record) store.Batch {
	return store.Batch{ID: rand.Text(), After: after, Changes: changes}
}

// commit commits changes of which it is certain that they can be.
func commit(t testing.TB, log store.Log, after uint64, changes ...store.Record) {
	t.Helper()
	revision, err := log.Commit(t.Context(), newBatch(after, changes...))
	if err != nil || revision != after+1 {
		t.Fatalf("commit: got revision %d, %v, want %d", revision, err, after+1)
	}
}

// settle commits a batch until its outcome is certain and Consul is there.
// Retries counts the attempts that left it uncertain.
func settle(ctx context.Context, log store.Log, batch store.Batch) (revision uint64, uncertain int, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 10*time.Second)
		revision, err = log.Commit(attempt, batch)
		stop()
		switch {
		case err == nil, errors.Is(err, store.ErrRaced):
			return revision, uncertain, err
		case errors.Is(err, store.ErrUncertain):
			uncertain++
		}
		select {
		case <-ctx.Done():
			return 0, uncertain, fmt.Errorf("gave up: %w", err)
		case <-time.After(pause):
		}
	}
}

// load loads until Consul is there.
func load(t testing.TB, log store.Log) store.Snapshot {
	t.Helper()
	snap, err := tryLoad(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func tryLoad(ctx context.Context, log store.Log) (store.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	for {
		snap, err := log.Load(ctx)
		if _, damaged := errors.AsType[*store.DamagedError](err); err == nil || damaged {
			return snap, err
		}
		select {
		case <-ctx.Done():
			return store.Snapshot{}, fmt.Errorf("gave up: %w", err)
		case <-time.After(pause):
		}
	}
}

func asMap(records []store.Record) map[string]string {
	m := map[string]string{}
	for _, r := range records {
		m[r.Key] = string(r.Value)
	}
	return m
}

// apply applies an update to records.
func apply(records map[string]string, changes []store.Record) {
	for _, c := range changes {
		if len(c.Value) == 0 {
			delete(records, c.Key)
		} else {
			records[c.Key] = string(c.Value)
		}
	}
}

// operator is a person at Consul, who knows nothing of logs.
func operator(t testing.TB, address string) *api.KV { return client(t, address, "").KV() }

func client(t testing.TB, address, token string) *api.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{Address: address, Token: token, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func deleteTree(t testing.TB, kv *api.KV, prefix string) {
	t.Helper()
	if _, err := kv.DeleteTree(prefix, nil); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, kv *api.KV, key, value string) {
	t.Helper()
	if _, err := kv.Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
		t.Fatal(err)
	}
}

// wantDamaged does everything with a log that is damaged.
func wantDamaged(t *testing.T, log *consul.Log, after uint64, want string) {
	t.Helper()
	_, loadErr := log.Load(t.Context())
	_, commitErr := log.Commit(t.Context(), newBatch(after, put("late", "x")))
	_, followErr := log.Follow(t.Context(), after)
	for op, err := range map[string]error{"load": loadErr, "commit": commitErr, "follow": followErr} {
		checkDamaged(t, op, err, want)
	}
}

func checkDamaged(t *testing.T, op string, err error, want string) {
	t.Helper()
	if _, damaged := errors.AsType[*store.DamagedError](err); !damaged || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want a DamagedError with %q", op, err, want)
	}
}
