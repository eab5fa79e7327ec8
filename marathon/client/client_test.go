package client_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCallsGoToAMarathonThatAnswers(t *testing.T) {
	d := double.Start(t, double.Options{Marathons: 2})
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	c := newClient(t, client.Config{URLs: append([]string{dead.URL}, d.URLs()...)})
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.SetLeader(-1)
	if _, err := c.Info(t.Context()); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("without a leader: got %v, want ErrUnavailable", err)
	}
	d.SetLeader(1)
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("with another leader: got %v", err)
	}
}

func TestRefusalsCanBeToldApart(t *testing.T) {
	d := double.Start(t, double.Options{})
	c := newClient(t, client.Config{URLs: d.URLs()})
	app := map[string]any{"id": "/db", "cmd": "run", "instances": 1}
	if err := c.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	_, err := c.PutApp(t.Context(), "/db", map[string]any{"cmd": "true"}, false)
	if refused, ok := errors.AsType[*client.Error](err); !errors.Is(err, client.ErrLocked) || !ok || len(refused.Deployments) != 1 {
		t.Errorf("a locked app: got %v, want ErrLocked with the deployment", err)
	}
	err = c.CreateApp(t.Context(), map[string]any{"id": "/two", "cmd": "run", "instances": 2, "container": map[string]any{
		"volumes": []any{map[string]any{"external": map[string]any{"provider": "dvdi"}}}}})
	if !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "limited to 1") {
		t.Errorf("two instances: got %v, want ErrInvalid with Marathon's reason", err)
	}
	for status, want := range map[int]error{
		401: client.ErrUnauthorized, 403: client.ErrUnauthorized, 404: client.ErrNotFound, 502: client.ErrUnavailable, 503: client.ErrUnavailable,
	} {
		d.Fail(func(*http.Request) int { return status })
		if _, err := c.Apps(t.Context()); !errors.Is(err, want) {
			t.Errorf("%d: got %v, want %v", status, err, want)
		}
	}
}

func TestWhatChangesSomethingIsNotSentTwice(t *testing.T) {
	d := double.Start(t, double.Options{Marathons: 2})
	d.Fail(func(r *http.Request) int {
		if r.Method == http.MethodPost {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	c := newClient(t, client.Config{URLs: d.URLs()})
	if err := c.CreateApp(t.Context(), map[string]any{"id": "/db"}); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if got := d.Requests("POST /v2/apps"); got != 1 {
		t.Errorf("it was sent %d times, want once", got)
	}
}

func TestPasswordsAreReadFromTheirFile(t *testing.T) {
	d := double.Start(t, double.Options{Marathons: 2, User: "flocker", Password: "geheim", Auto: true})
	d.SetLeader(1)
	right := client.Config{URLs: d.URLs(), User: "flocker", PasswordFile: file(t, "geheim\n")}
	if _, err := newClient(t, right).Apps(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, newClient(t, right)) // also where the events are redirected to the leader
	wrong := right
	wrong.PasswordFile = file(t, "falsch")
	_, err := newClient(t, wrong).Apps(t.Context())
	if !errors.Is(err, client.ErrUnauthorized) || strings.Contains(err.Error(), "falsch") {
		t.Errorf("a wrong password: got %v, want ErrUnauthorized and not the password", err)
	}
}

func TestMarathonsCertificateIsChecked(t *testing.T) {
	d := double.Start(t, double.Options{TLS: true, Marathons: 2})
	d.SetLeader(1)
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Server(0).Certificate().Raw})))
	right := newClient(t, client.Config{URLs: d.URLs(), CAFile: ca, User: "u", PasswordFile: file(t, "p")})
	if _, err := right.Apps(t.Context()); err != nil {
		t.Errorf("with its authority: got %v", err)
	}
	record(t, right) // by way of the leader
	if _, err := newClient(t, client.Config{URLs: d.URLs()}).Apps(t.Context()); err == nil {
		t.Error("with the system's authorities: it was taken for Marathon")
	}
}

// dcos plays the logins of DC/OS, and hands out another token each time.
type dcos struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	logins int
	token  string
}

func startDCOS(t *testing.T) *dcos {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	d := &dcos{key: key, token: "none"}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who struct{ UID, Password, Token string }
		if err := json.NewDecoder(r.Body).Decode(&who); err != nil || r.Method != http.MethodPost || r.URL.Path != "/acs/api/v1/auth/login" {
			t.Errorf("login: got %s %s, %v", r.Method, r.URL, err)
		}
		if who.Password != "geheim" && !d.signed(who.Token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.logins++
		d.token = "token-" + strings.Repeat("i", d.logins)
		_ = json.NewEncoder(w).Encode(map[string]string{"token": d.token})
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *dcos) valid() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.token
}

func (d *dcos) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.token = "expired"
}

// signed reports whether a token is a proof of the account flocker.
func (d *dcos) signed(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		UID string
		Exp int64
	}
	if json.Unmarshal(body, &claims) != nil || claims.UID != "flocker" || time.Unix(claims.Exp, 0).Before(time.Now()) {
		return false
	}
	return verify(&d.key.PublicKey, parts[0]+"."+parts[1], parts[2]) == nil
}

func TestTokensOfDCOSAreRenewedWhenTheyAreRefused(t *testing.T) {
	login := startDCOS(t)
	account, err := json.Marshal(map[string]string{"uid": "flocker", "scheme": "RS256", "private_key": string(pem.EncodeToMemory(
		&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(login.key)}))})
	if err != nil {
		t.Fatal(err)
	}
	d := double.Start(t, double.Options{Token: login.valid})
	for name, cfg := range map[string]client.Config{
		"service account": {ServiceAccountFile: file(t, string(account))},
		"user":            {User: "flocker", PasswordFile: file(t, "geheim")},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.URLs, cfg.Login = d.URLs(), login.URL+"/acs/api/v1/auth/login"
			c := newClient(t, cfg)
			before := login.logins
			for range 2 {
				if _, err := c.Apps(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			login.expire()
			if _, err := c.Apps(t.Context()); err != nil {
				t.Errorf("after the token has expired: got %v", err)
			}
			if got := login.logins - before; got != 2 {
				t.Errorf("%d logins, want 2", got)
			}
		})
	}
}

func TestCredentialsGoNowhereElse(t *testing.T) {
	var leaked []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			leaked = append(leaked, r.URL.Path+" "+a)
		}
		w.Header().Set("Location", "http://"+r.Host+"/elsewhere/v2/events")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(thief.Close)
	for _, tc := range []struct {
		name, path, location string
		tls                  bool
	}{
		{name: "a redirect of a call", path: "/v2/apps", location: thief.URL + "/v2/apps"},
		{name: "a redirect of the events to another path", path: "/v2/events", location: thief.URL + "/collect"},
		{name: "a redirect from https to http", path: "/v2/events", location: thief.URL + "/v2/events", tls: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaked = nil
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Marathon-Leader", thief.URL)
				w.Header().Set("Location", tc.location)
				w.WriteHeader(http.StatusFound)
			})
			cfg := client.Config{User: "u", PasswordFile: file(t, "p")}
			server := httptest.NewServer(h)
			if tc.tls {
				server.Close()
				server = httptest.NewTLSServer(h)
				cfg.CAFile = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
			}
			t.Cleanup(server.Close)
			cfg.URLs = []string{server.URL}
			c := newClient(t, cfg)
			var err error
			if tc.path == "/v2/events" {
				err = c.Events(t.Context(), func() { t.Error("the stream opened") }, func(client.Event) {})
			} else {
				_, err = c.Apps(t.Context())
			}
			if err == nil || len(leaked) > 0 {
				t.Errorf("got %v, leaked %q", err, leaked)
			}
		})
	}
	t.Run("a redirect that is followed is followed once", func(t *testing.T) {
		leaked = nil
		server := httptest.NewServer(http.RedirectHandler(thief.URL+"/v2/events", http.StatusFound))
		t.Cleanup(server.Close)
		err := newClient(t, client.Config{URLs: []string{server.URL}, User: "u", PasswordFile: file(t, "p")}).
			Events(t.Context(), func() {}, func(client.Event) {})
		if err == nil || len(leaked) != 1 {
			t.Errorf("got %v after %q, want one request", err, leaked)
		}
	})
}

func TestASilentStreamCountsAsDead(t *testing.T) {
	d := double.Start(t, double.Options{Heartbeat: time.Hour})
	c := newClient(t, client.Config{URLs: d.URLs(), Silence: 50 * time.Millisecond})
	err := c.Events(t.Context(), func() {}, func(client.Event) {})
	if err == nil || !strings.Contains(err.Error(), "nothing has come") {
		t.Errorf("got %v, want that nothing has come", err)
	}
	if t.Context().Err() != nil {
		t.Error("the context ended first")
	}
}

func TestBlankLinesKeepAStreamAlive(t *testing.T) {
	d := double.Start(t, double.Options{Heartbeat: 20 * time.Millisecond})
	c := newClient(t, client.Config{URLs: d.URLs(), Silence: 5 * time.Second})
	r := record(t, c)
	d.Tell("app_terminated_event", map[string]any{"appId": "/a"})
	r.await(t, "the app ended", func(ev client.Event) bool { return ev.Type == "app_terminated_event" })
}

func TestWhoReadsSlowlyIsCutOffAndHearsOfIt(t *testing.T) {
	d := double.Start(t, double.Options{Outstanding: 4, Heartbeat: time.Hour})
	c := newClient(t, client.Config{URLs: d.URLs()})
	hold := make(chan struct{})
	opened := make(chan struct{})
	ended := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		ended <- c.Events(t.Context(), func() { close(opened) }, func(client.Event) { <-hold })
	})
	defer reading.Wait()
	<-opened
	long := strings.Repeat("x", 64<<10)
	for d.Streams() > 0 {
		d.Tell("framework_message_event", map[string]any{"message": long})
	}
	close(hold)
	if err := <-ended; err == nil {
		t.Error("got no error, want that the stream ended")
	}
}

func TestMistakesInTheConfigurationAreNamed(t *testing.T) {
	for want, cfg := range map[string]client.Config{
		"marathon: is missing":   {},
		"not a URL such as":      {URLs: []string{"ftp://x"}},
		"must not have a user":   {URLs: []string{"http://user:geheim@host:8080"}},
		"must end with the path": {URLs: []string{"http://host:8080?x=y"}},
		"set both or none":       {URLs: []string{"http://host"}, User: "u"},
		"choose one":             {URLs: []string{"http://host"}, User: "u", PasswordFile: "p", TokenFile: "t"},
		"marathon-login: needs":  {URLs: []string{"http://host"}, Login: "http://host"},
		"marathon-cert-file":     {URLs: []string{"http://host"}, CertFile: "c"},
	} {
		if _, err := client.New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: got %v, want %q", cfg, err, want)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	d := double.Start(t, double.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, client.Config{URLs: d.URLs()}).Apps(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func FuzzEventsAndAnswersAreReadWithoutHarm(f *testing.F) {
	f.Add("status_update_event", []byte(`{"appId":"/a","taskStatus":"TASK_RUNNING"}`))
	f.Add("deployment_info", []byte(`{"plan":{"steps":[{"actions":[{"action":"StopApplication","app":"/a"}]}]}}`))
	f.Add("pod_deleted_event", []byte(`{"uri":"/v2/pods/a?force=true"}`))
	f.Add("", []byte(`{"eventType":"app_terminated_event","appId":null}`))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		ev := client.ReadEvent(kind, data)
		for _, id := range ev.Stops {
			if id == "" {
				t.Errorf("%q %q: it says that nothing was destroyed", kind, data)
			}
		}
		for _, r := range ev.Type {
			if r < ' ' {
				t.Errorf("the type has the control character %q", r)
			}
		}
	})
}
