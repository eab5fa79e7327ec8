package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/test/consul"
)

// servers is how many Consul servers keep the log, where one is measured.
const servers = 3

// withConsul runs a measurement with a cluster of real Consul servers.
func withConsul(s settings, measure func(c *consul.Cluster) ([]result, error)) (results []result, err error) {
	t := &harness{dir: filepath.Join(s.dir, "consul")}
	defer func() {
		failed, ok := recover().(failure)
		if ok {
			err = errors.Join(err, failed.error)
		}
		t.failed = err != nil
		for _, f := range slices.Backward(t.cleanups) {
			f()
		}
	}()
	return measure(consul.Start(t, servers))
}

// harness is to the cluster what a test is otherwise.
type harness struct {
	dir      string
	failed   bool
	cleanups []func()
}

// failure is how Fatalf ends a measurement.
type failure struct{ error }

func (t *harness) Helper()                         {}
func (t *harness) Context() context.Context        { return context.Background() }
func (t *harness) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (t *harness) Fatalf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}
func (t *harness) Failed() bool     { return t.failed }
func (t *harness) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *harness) TempDir() string {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	return t.dir
}

// consulStore names a log in Consul, by way of addresses.
func consulStore(prefix string, addresses ...string) string {
	return "consul://" + strings.Join(addresses, ",") + "/" + prefix
}

// leaderFirst returns the addresses of all servers, the leader's first.
func leaderFirst(c *consul.Cluster) []string {
	all, leader := c.Addresses(), c.Leader()
	return append([]string{all[leader]}, slices.Delete(slices.Clone(all), leader, leader+1)...)
}

// kilobyte is the size of the values of a floor's records. Ours have less.
var kilobyte = bytes.Repeat([]byte("x"), 1<<10)

// rawConsul calls Consul with nothing around it.
type rawConsul struct {
	http    *http.Client
	address string
}

func newRawConsul(address string) *rawConsul {
	return &rawConsul{address: address, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
}

// put writes one key.
func (r *rawConsul) put(ctx context.Context, key string) error {
	return r.call(ctx, "/v1/kv/"+key, kilobyte)
}

// commit writes two keys in one transaction, the least that a commit of ours
// can be: the head of the log, and one record.
func (r *rawConsul) commit(ctx context.Context) error {
	type set struct{ Verb, Key, Value string }
	type operation struct{ KV set }
	value := base64.StdEncoding.EncodeToString(kilobyte)
	body, err := json.Marshal([]operation{{set{"set", "raw/head", value}}, {set{"set", "raw/record", value}}})
	if err != nil {
		return err
	}
	return r.call(ctx, "/v1/txn", body)
}

func (r *rawConsul) call(ctx context.Context, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+r.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("consul: %s: %s", resp.Status, text)
	}
	return err
}
