package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

func TestCutLosesWhatOneHostSendsToAnother(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1", "node2", "node3")
	a, b, c := hosts[0], hosts[1], hosts[2]
	reached := func(from, to *lab.Host) bool {
		listener, err := to.Listen(t.Context(), "tcp", to.Address+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		conn, err := from.Dial(ctx, "tcp", listener.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if err := a.Cut(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// A connection needs both directions, whoever begins.
	for _, pair := range []struct {
		from, to *lab.Host
		want     bool
	}{{a, b, false}, {b, a, false}, {a, c, true}, {c, a, true}, {b, c, true}} {
		if got := reached(pair.from, pair.to); got != pair.want {
			t.Errorf("%s reaches %s: got %v, want %v", pair.from.Name, pair.to.Name, got, pair.want)
		}
	}
	for range 2 { // mending what is whole is no mistake
		if err := a.Mend(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if !reached(a, b) || !reached(b, a) {
		t.Error("not mended")
	}
	if err := lab.Part(t.Context(), b, c); err != nil {
		t.Fatal(err)
	}
	if reached(b, c) {
		t.Error("parted and still reached")
	}
	if err := lab.Rejoin(t.Context(), b, c); err != nil {
		t.Fatal(err)
	}
	if !reached(b, c) {
		t.Error("not rejoined")
	}
}

// TestCutIsOneWay sends datagrams, which need no answer.
func TestCutIsOneWay(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1", "node2")
	a, b := hosts[0], hosts[1]
	packets := func(h *lab.Host) string { return output(t, h, "cat", "/proc/net/snmp") }
	send := func(from, to *lab.Host) {
		output(t, from, "bash", "-c", "echo x >/dev/udp/"+to.Address+"/9")
	}
	if err := a.Cut(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	before := packets(b)
	send(a, b)
	if got := packets(b); got != before {
		t.Errorf("%s got a packet:\n%s\nbefore:\n%s", b.Name, got, before)
	}
	before = packets(a)
	send(b, a)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := lab.Until(ctx, a.Name+" gets a packet", func() error {
		if packets(a) == before {
			return fmt.Errorf("it got none")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestFrozenHostDoesNothingUntilItIsThawed(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1", "node2")
	a, b := hosts[0], hosts[1]
	count := func(h *lab.Host) *lab.Process {
		p, err := h.Start(lab.Daemon{Name: "count", Args: []string{"sh", "-c", "while :; do echo x; sleep 0.01; done"}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	frozen, other := count(a), count(b)
	grows := func(p *lab.Process) {
		t.Helper()
		from := len(p.Output())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := lab.Until(ctx, p.Name+" goes on", func() error {
			if len(p.Output()) < from+10 {
				return fmt.Errorf("it printed nothing more")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	grows(frozen)
	if err := a.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := len(frozen.Output())
	grows(other)
	if got := len(frozen.Output()); got != at {
		t.Errorf("the frozen host printed %d bytes", got-at)
	}
	if err := a.Thaw(); err != nil {
		t.Fatal(err)
	}
	grows(frozen)
}

func TestHostIsOffUntilItIsPoweredOn(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1")
	h := hosts[0]
	first := h.BootID()
	output(t, h, "sh", "-c", "echo kept >/var/lib/x; echo lost >/run/x")
	if err := h.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := h.Command(t.Context(), "true").Run(); err == nil {
		t.Error("a host that is off runs a program")
	}
	if _, err := h.Mounts(); err == nil {
		t.Error("a host that is off has mounts")
	}
	if err := h.PowerOff(); err != nil {
		t.Errorf("cutting the power twice: %v", err)
	}
	if err := h.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := output(t, h, "sh", "-c", "cat /var/lib/x; ls /run/x 2>/dev/null || true"); got != "kept" {
		t.Errorf("got %q, want what was on disk alone", got)
	}
	if h.BootID() == first {
		t.Error("the boot id is the same")
	}
}

func TestToolsAreOnEveryHost(t *testing.T) {
	t.Parallel()
	tool := filepath.Join(t.TempDir(), "greet")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\necho hello from $(hostname)\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, hosts := newLab(t, lab.Options{Tools: map[string]string{"hello": tool}}, "node1")
	if got := output(t, hosts[0], lab.ToolsDir+"/hello"); got != "hello from node1" {
		t.Errorf("got %q", got)
	}
	if err := hosts[0].Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := output(t, hosts[0], lab.ToolsDir+"/hello"); got != "hello from node1" {
		t.Errorf("after a reboot: got %q", got)
	}
}
