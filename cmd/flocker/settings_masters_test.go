package main

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/config"
	"github.com/flocker-mesos/flocker/test/mesos/master"
)

// TestMastersAreAskedAsTheSettingsSay goes through TLS, with a password that is
// changed while it is used.
func TestMastersAreAskedAsTheSettingsSay(t *testing.T) {
	cluster := master.New()
	m, err := cluster.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	cluster.Register(master.Agent{ID: "S0", Hostname: "node1", Address: "192.0.2.10"})
	cluster.Want("flocker", "first")
	behind, err := url.Parse(m.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer proxy.Close()

	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	s := defaultMastersSettings()
	s.URLs, s.User, s.PasswordFile, s.Interval = []string{proxy.URL}, "flocker", write("password", "first\n"), minMesosInterval
	s.CAFile = write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})))
	if err := s.validate(); err != nil {
		t.Fatal(err)
	}
	watcher, err := s.watcher(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watcher.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	await := func(what string, condition func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		limit := time.After(30 * time.Second)
		for !condition() {
			select {
			case <-tick.C:
			case <-limit:
				t.Fatalf("%s: it came to nothing: %+v", what, watcher.Masters())
			}
		}
	}
	node := []*api.Node{{ID: "n", Hostname: "node1"}}
	await("the agent is known", func() bool { return watcher.Agents(node)["n"].Runs() })
	cluster.Want("flocker", "second")
	await("the password is refused", func() bool { return strings.Contains(watcher.Masters().Cause, "401") })
	write("password", "second")
	await("the password is accepted", func() bool { return watcher.Masters().Cause == "" })
}

func TestMastersAreAListOrATextWithCommas(t *testing.T) {
	want := commaList{"http://a:5050", "http://b:5050"}
	for _, text := range []string{"mesos-masters: http://a:5050, http://b:5050\n", "mesos-masters: [http://a:5050, 'http://b:5050']\n"} {
		s := defaultControlSettings()
		if err := config.New(s).Load(settingsFile(t, text), os.LookupEnv); err != nil || !slices.Equal(s.Masters.URLs, want) {
			t.Errorf("%q: got %v, %v", text, s.Masters.URLs, err)
		}
	}
	s := defaultControlSettings()
	env := func(name string) (string, bool) {
		return "http://a:5050,http://b:5050", name == "FLOCKER_MESOS_MASTERS"
	}
	if err := config.New(s).Load("", env); err != nil || !slices.Equal(s.Masters.URLs, want) {
		t.Errorf("the environment: got %v, %v", s.Masters.URLs, err)
	}
}

func TestBadFilesOfMastersAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*mastersSettings){
		"mesos-ca-file: open /nowhere":                               func(s *mastersSettings) { s.CAFile = "/nowhere" },
		"mesos-ca-file: " + empty + " has no certificate in it":      func(s *mastersSettings) { s.CAFile = empty },
		"mesos-cert-file: open /nowhere":                             func(s *mastersSettings) { s.CertFile, s.KeyFile = "/nowhere", "/nowhere" },
		"mesos-password-file: open /nowhere":                         func(s *mastersSettings) { s.User, s.PasswordFile = "u", "/nowhere" },
		"mesos-password-file: " + empty + " is empty":                func(s *mastersSettings) { s.User, s.PasswordFile = "u", empty },
		"mesos-max-answer: \"much\" is not a size of at least 1MiB,": func(s *mastersSettings) { s.MaxAnswer = "much" },
	} {
		s := defaultMastersSettings()
		s.URLs = []string{"https://192.0.2.1:5050"}
		change(&s)
		err := s.validate()
		if err == nil {
			_, err = s.watcher(slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	s := defaultMastersSettings()
	if w, err := s.watcher(slog.New(slog.DiscardHandler)); w != nil || err != nil {
		t.Errorf("without masters: got %v, %v", w, err)
	}
}
