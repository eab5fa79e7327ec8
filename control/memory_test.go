package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/store/memory"
)

// emptied removes what is in a directory.
func emptied(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func copied(t *testing.T, from, to string) {
	t.Helper()
	emptied(t, to)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestServesNoOtherLogThanTheOneThatThisMachineKnows does to a stopped service's
// log what an operator's mistake can do, and starts the service again.
func TestServesNoOtherLogThanTheOneThatThisMachineKnows(t *testing.T) {
	for name, tt := range map[string]struct {
		mistake func(t *testing.T, log, older string)
		want    string
	}{
		"it is gone, with all that was beside it": {
			func(t *testing.T, log, _ string) { emptied(t, log) }, "it is empty",
		},
		"it is another one's, of the same cluster": {
			func(t *testing.T, log, _ string) {
				other := newWorld(t)
				other.stop()
				copied(t, strings.TrimPrefix(other.cfg.Store, "file:"), log)
			}, "and log ",
		},
		"it is an older copy": {
			func(t *testing.T, log, older string) { copied(t, older, log) }, "an older copy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			log, older := t.TempDir(), t.TempDir()
			w := newWorld(t, func(c *control.Config) { c.Store, c.StateDir = "file:"+log, t.TempDir() })
			w.stop()
			copied(t, log, older)
			w.start()
			w.makes("first")
			w.stop()
			w.start() // what it knows is no hindrance
			w.stop()
			tt.mistake(t, log, older)
			_, err := w.open()
			if !errors.Is(err, control.ErrOtherLog) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want it refused: %s", err, tt.want)
			}
			if !strings.Contains(err.Error(), "restore --replace") || !strings.Contains(err.Error(), "accept-log") {
				t.Errorf("the error does not say how to go on: %v", err)
			}
			id := control.EmptyLog
			if found, err := control.IdentityOf(t.Context(), w.cfg); err != nil {
				t.Fatal(err)
			} else if found.ID != "" {
				id = found.ID
			}
			if _, err := control.AcceptLog(t.Context(), w.cfg, clusterID, "another"); err == nil {
				t.Error("a log is accepted that is not there")
			}
			if _, err := control.AcceptLog(t.Context(), w.cfg, clusterID, id); err != nil {
				t.Fatal(err)
			}
			w.start()
		})
	}
}

func (w *world) makes(name string) {
	w.Helper()
	if _, err := w.service.Replica().Do(w.Context(), create(newID(), name)); err != nil {
		w.Fatal(err)
	}
}

func TestDoesNotStartWithAMemoryThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(c *control.Config) { c.StateDir = dir })
	w.stop()
	file := filepath.Join(dir, "log-"+clusterID+".json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want it to name %s", err, file)
	}
}

// TestReplicasOfOneLogKnowTheSameOne has one replica begin the log and another
// join it, on machines of their own, and then gives the second an empty store.
func TestReplicasOfOneLogKnowTheSameOne(t *testing.T) {
	shared, ca := &memory.Store{}, newAuthority(t)
	var worlds []*world
	for range 2 {
		w := &world{TB: t, ca: ca, cfg: control.DefaultConfig(), store: shared.Open()}
		w.cfg.Listen, w.cfg.AgentListen, w.cfg.StateDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
		w.start()
		worlds = append(worlds, w)
	}
	one, two := worlds[0].status().Log, worlds[1].status().Log
	if one.ID == "" || one.ID != two.ID {
		t.Errorf("got the logs %+v and %+v", one, two)
	}
	worlds[1].stop()
	worlds[1].store = (&memory.Store{}).Open()
	if _, err := worlds[1].open(); !errors.Is(err, control.ErrOtherLog) {
		t.Errorf("an empty store: got %v", err)
	}
}

func TestRefusesAgentsThatKnowAnotherLog(t *testing.T) {
	w := newWorld(t)
	log := w.status().Log
	for name, tt := range map[string]struct {
		seen    *api.LogIdentity
		refused bool
	}{
		"knows none":            {nil, false},
		"knows this one":        {&api.LogIdentity{ID: log.ID, Incarnation: log.Incarnation, Revision: log.Revision}, false},
		"accepted this one":     {&api.LogIdentity{ID: log.ID}, false},
		"knows another":         {&api.LogIdentity{ID: "11111111-2222-4333-8444-555555555555", Revision: 1}, true},
		"has seen more of it":   {&api.LogIdentity{ID: log.ID, Incarnation: log.Incarnation, Revision: log.Revision + 1000}, true},
		"has seen it restored":  {&api.LogIdentity{ID: log.ID, Incarnation: log.Incarnation + 1}, true},
		"knows this one, again": {&api.LogIdentity{ID: log.ID}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := hello(nodeA)
			h.Log = tt.seen
			s, err := w.dial(nodeA, h)
			if err == nil {
				if got := s.Welcome().Log; got == nil || got.ID != log.ID || got.Revision < log.Revision {
					t.Errorf("it is welcome to log %+v, want %+v", got, log)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if (err != nil) != tt.refused {
				t.Fatalf("got %v, want it refused: %t", err, tt.refused)
			}
			if tt.refused && !strings.Contains(err.Error(), api.OtherLogRefused) {
				t.Errorf("it is told %v", err)
			}
			var shown bool
			for _, o := range w.status().OtherLogs {
				shown = shown || o.Node == nodeA
			}
			if shown != tt.refused {
				t.Errorf("the status shows it: %t, want %t", shown, tt.refused)
			}
		})
	}
}
