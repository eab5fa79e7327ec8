package control

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// door is a listener's log with a clock.
type door struct {
	*testing.T
	text bytes.Buffer
	now  time.Time
	all  *refusals
	log  interface{ Print(v ...any) }
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{T: t, now: time.Unix(1000, 0)}
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"listener"})
	d.all = newRefusals(slog.New(slog.NewTextHandler(&d.text, nil)), counter)
	d.all.now = func() time.Time { return d.now }
	d.log = slog.NewLogLogger(d.all.of("users"), slog.LevelWarn)
	return d
}

// refuse has the server say that a handshake failed, and returns what is logged.
func (d *door) refuse(from, cause string) string {
	d.log.Print(handshakePrefix + from + ": " + cause + "\n")
	defer d.text.Reset()
	return d.text.String()
}

func TestRefusalsOfWhoHammersAreCountedAndNotRepeated(t *testing.T) {
	d := newDoor(t)
	const cause = `certificate of "user-x": is of the wrong role`
	if got := d.refuse("[2001:db8::1]:4000", cause); !strings.Contains(got, "from=[2001:db8::1]:4000") || !strings.Contains(got, "wrong role") {
		t.Errorf("the first: got %q, want all of it", got)
	}
	for port := range 1000 {
		if got := d.refuse(fmt.Sprintf("[2001:db8::1]:%d", port), cause); got != "" {
			t.Fatalf("again: got %q, want nothing", got)
		}
	}
	if got := d.refuse("[2001:db8::2]:1", cause); !strings.Contains(got, "2001:db8::2") {
		t.Errorf("another address: got %q, want it logged", got)
	}
	if got := d.refuse("[2001:db8::1]:1", "another reason"); !strings.Contains(got, "another reason") {
		t.Errorf("another reason: got %q, want it logged", got)
	}
	d.now = d.now.Add(refusalEvery)
	if got := d.refuse("[2001:db8::1]:1", cause); !strings.Contains(got, "repeated=1000") {
		t.Errorf("a minute later: got %q, want how often it was", got)
	}
}

func TestScannersDoNotFillTheLog(t *testing.T) {
	d := newDoor(t)
	lines := 0
	count := func(text string) { lines += strings.Count(text, "\n") }
	for i := range 100 { // one address that makes up reasons
		count(d.refuse("192.0.2.1:1", fmt.Sprintf(`certificate of "user-%d"`, i)))
	}
	if lines != refusalsOfHost {
		t.Errorf("of one address: got %d lines, want %d", lines, refusalsOfHost)
	}
	for minute := range 60 {
		d.now = d.now.Add(refusalPeriod)
		lines = 0
		for i := range 1000 {
			count(d.refuse(fmt.Sprintf("10.%d.%d.%d:1", minute, i/250, i%250), "no certificate"))
		}
		if lines != refusalsLogged {
			t.Fatalf("of many addresses: got %d lines a minute, want %d", lines, refusalsLogged)
		}
		if n := len(d.all.seen) + len(d.all.hosts); n > 5*refusalsLogged {
			t.Fatalf("got %d things remembered, want no more than what was logged lately", n)
		}
	}
	d.now = d.now.Add(refusalPeriod)
	if got := d.refuse("192.0.2.7:1", "no certificate"); !strings.Contains(got, "others_not_logged=970") {
		t.Errorf("got %q, want how many were left out", got)
	}
	long := d.refuse("192.0.2.8:1", strings.Repeat("x", 100_000))
	if len(long) > 2*maxCause {
		t.Errorf("a long reason: got %d bytes", len(long))
	}
}

func TestWhoOnlyKnocksIsNotLogged(t *testing.T) {
	d := newDoor(t)
	for _, cause := range []string{"EOF", "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"} {
		if got := d.refuse("127.0.0.1:1", cause); got != "" {
			t.Errorf("%s: got %q, want nothing", cause, got)
		}
	}
	d.log.Print("http: something else")
	if got := d.text.String(); !strings.Contains(got, "http: something else") || !strings.Contains(got, "listener=users") {
		t.Errorf("what is no handshake: got %q, want it as it is", got)
	}
}
