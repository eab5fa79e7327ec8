package pki_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/pki"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestExpiryIsWarnedOfDailyAndWhenItChanges(t *testing.T) {
	const days = 24 * time.Hour
	dir, _ := newCluster(t, pki.Options{Validity: 40 * days})
	longer, err := pki.OpenAuthority(dir, pki.Options{Validity: 38 * days})
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Now()}
	var text bytes.Buffer
	creds, err := pki.LoadAt(pki.PathsIn(dir, "node"), slog.New(slog.NewTextHandler(&text, nil)), c.Now, pki.RoleNode)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time)
	var watch sync.WaitGroup
	watch.Go(func() { creds.WatchAt(ctx, tick) })
	// What is received is done when the next is.
	look := func() string {
		tick <- time.Time{}
		tick <- time.Time{}
		defer text.Reset()
		return text.String()
	}
	if got := look(); got != "" {
		t.Errorf("40 days before: got %q, want nothing", got)
	}
	c.advance(11 * days)
	first := look()
	for _, want := range []string{"level=WARN", "expires soon", "role=node", "role=authority", "node.crt", "cluster.crt", "days=28"} {
		if !strings.Contains(first, want) {
			t.Errorf("29 days before: got %q, want %q", first, want)
		}
	}
	c.advance(23 * time.Hour)
	if got := look(); got != "" {
		t.Errorf("23 hours later: got %q, want nothing", got)
	}
	c.advance(time.Hour)
	if got := look(); !strings.Contains(got, "role=node") {
		t.Errorf("a day later: got %q, want the warning", got)
	}
	// The new one ends sooner, and still soon.
	if _, err := longer.Renew(filepath.Join(dir, "node.crt"), pki.RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := look(); !strings.Contains(got, "read anew") || !strings.Contains(got, "days=25") {
		t.Errorf("after a renewal: got %q, want the new end at once", got)
	}
	c.advance(27 * days)
	if got := look(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "has expired") {
		t.Errorf("afterwards: got %q, want an error", got)
	}
	cancel()
	watch.Wait()
}

func TestExpiryIsAMetric(t *testing.T) {
	dir, _ := newCluster(t, pki.Options{Validity: 40 * 24 * time.Hour})
	creds, err := pki.Load(dir, "node", pki.RoleNode, quiet())
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(creds)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "flocker_certificate_expiry_timestamp_seconds" {
		t.Fatalf("got %v and %v", families, err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		got[labels["role"]+" "+labels["name"]] = m.GetGauge().GetValue()
	}
	node, ca := readCert(t, filepath.Join(dir, "node.crt")), readCert(t, filepath.Join(dir, "cluster.crt"))
	if got["node "+node.Subject.CommonName] != float64(node.NotAfter.Unix()) || got["authority test"] != float64(ca.NotAfter.Unix()) || len(got) != 2 {
		t.Errorf("got %v, want those of %s and %s", got, node.NotAfter, ca.NotAfter)
	}
}
