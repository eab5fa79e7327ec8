package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/pki"
)

func TestWhatIsAbsentIsWaitedForAndWhatIsWrongIsNot(t *testing.T) {
	future := x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotBefore: time.Now().Add(time.Hour)}}
	past := x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}}
	wrapped := func(err error) error {
		return fmt.Errorf("load log: %w", &url.Error{Op: "Get", URL: "http://consul", Err: err})
	}
	for _, err := range []error{
		wrapped(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}),
		wrapped(syscall.EHOSTUNREACH), wrapped(syscall.ETIMEDOUT), wrapped(io.EOF), wrapped(io.ErrUnexpectedEOF),
		wrapped(&net.DNSError{Err: "no such host", Name: "consul", IsNotFound: true}), wrapped(context.DeadlineExceeded), wrapped(future),
		&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)},
		&fs.PathError{Op: "open", Path: "/etc/flocker/node.key", Err: syscall.ENOENT}, &fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EROFS},
		&host.NotMountedError{Path: "/srv", MountPoint: "/srv"}, fmt.Errorf("open: %w", loopback.ErrStorageGone), fmt.Errorf("x: %w", pki.ErrNotYetValid),
	} {
		if !absent(err) {
			t.Errorf("%v: ends, and should be waited for", err)
		}
	}
	for _, err := range []error{
		errors.New("a setting is wrong"), api.FieldErrorf("store", "is wrong"), wrapped(past), wrapped(x509.UnknownAuthorityError{}),
		&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)},
		&fs.PathError{Op: "open", Path: "/etc/flocker/node.key", Err: syscall.EACCES}, store.ErrInUse,
		&store.DamagedError{Name: "control.db", What: "is missing", Err: fs.ErrNotExist},
	} {
		if absent(err) {
			t.Errorf("%v: is waited for, and should end", err)
		}
	}
}

// freePort returns an address of this machine that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// program is a control service or an agent that runs in the test.
type startedProgram struct {
	t      *testing.T
	out    *lockedBuffer
	ended  chan int
	cancel context.CancelFunc
}

func startProgram(t *testing.T, args ...string) *startedProgram {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &startedProgram{t: t, out: &lockedBuffer{}, ended: make(chan int, 1), cancel: cancel}
	go func() { p.ended <- run(ctx, args, p.out, p.out) }()
	t.Cleanup(cancel)
	return p
}

// says waits until the program has written all texts.
func (p *startedProgram) says(texts ...string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, text := range texts {
		for !strings.Contains(p.out.String(), text) {
			select {
			case <-tick.C:
			case code := <-p.ended:
				p.t.Fatalf("it ended with %d and has not said %q:\n%s", code, text, p.out.String())
			case <-deadline:
				p.t.Fatalf("it has not said %q:\n%s", text, p.out.String())
			}
		}
	}
}

// stop ends the program, and wants that to be no failure.
func (p *startedProgram) stop() {
	p.t.Helper()
	p.cancel()
	if code := <-p.ended; code != exitOK {
		p.t.Errorf("it ended with %d:\n%s", code, p.out.String())
	}
}

func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestControlWaitsForItsCertificate(t *testing.T) {
	certs, empty, dir, metrics := controlCertificates(t), t.TempDir(), t.TempDir(), freePort(t)
	p := startProgram(t, "control", "--certificates", empty, "--store", "file:"+dir, "--state-dir", dir,
		"--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--metrics-listen", metrics)
	p.says("waiting to start", "cluster.crt: no such file")
	health := func() (int, string) {
		resp, err := http.Get("http://" + metrics + "/health")
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	if code, text := health(); code != http.StatusServiceUnavailable || !strings.Contains(text, "waiting to start since ") || !strings.Contains(text, "cluster.crt") {
		t.Errorf("its health is %d, %q", code, text)
	}
	copyFiles(t, certs, empty, "cluster.crt", "control-service.crt", "control-service.key")
	p.says("waits no longer to start", "control service runs")
	if code, text := health(); code != http.StatusOK {
		t.Errorf("its health is %d, %q", code, text)
	}
	if n := strings.Count(p.out.String(), "waiting to start"); n > 3 {
		t.Errorf("it told %d times that it waits:\n%s", n, p.out.String())
	}
	p.stop()
}

func TestControlWaitsForConsul(t *testing.T) {
	dir, address := t.TempDir(), freePort(t)
	token := filepath.Join(dir, "token")
	p := startProgram(t, "control", "--certificates", controlCertificates(t), "--state-dir", dir, "--register", "",
		"--store", "consul://"+address+"/flocker?token-file="+token, "--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--metrics-listen", "")
	p.says("waiting to start", "token: no such file")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.says("connection refused")
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	consul := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	})}}
	consul.Start()
	defer consul.Close()
	p.says("No cluster leader")
	p.stop()
}

func TestAgentWaitsForItsStorage(t *testing.T) {
	d := &devDir{root: t.TempDir()}
	if err := d.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	dir, root := t.TempDir(), t.TempDir()
	b, err := loopback.New(loopback.Config{RootPath: root, InstanceID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := remember(filepath.Join(state, "loopback-storage"), b.StorageID()); err != nil {
		t.Fatal(err)
	}
	away := root + ".away"
	if err := os.Rename(root, away); err != nil {
		t.Fatal(err)
	}
	run, mounts := filepath.Join(dir, "run"), filepath.Join(dir, "flocker")
	p := startProgram(t, "agent", "--certificates", d.certs(), "--state-dir", state, "--run-dir", run, "--mount-root", mounts,
		"--socket", filepath.Join(dir, "agent.sock"), "--control-service-hostname", "127.0.0.1", "--dataset-root-path", root, "--metrics-listen", "")
	p.says("waiting to start", "the storage is gone")
	if err := os.Rename(away, root); err != nil {
		t.Fatal(err)
	}
	p.says("waits no longer to start", "agent runs")
	p.stop()
	made, err := host.OpenMountRoot(filepath.Join(run, "mnt"), mounts)
	if err == nil {
		err = made.Remove()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestMistakesEndTheProgramAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	certs, dir := controlCertificates(t), t.TempDir()
	with := func(args ...string) []string {
		return append([]string{"control", "--certificates", certs, "--store", "file:" + dir, "--state-dir", dir,
			"--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--metrics-listen", ""}, args...)
	}
	role := t.TempDir()
	copyFiles(t, certs, role, "cluster.crt")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a typo in a store":      {with("--store", "consull://127.0.0.1:8500/flocker"), "is not a store"},
		"a wrong type":           {with("--heartbeat", "soon"), "heartbeat"},
		"a port that is in use":  {with("--listen", taken.Addr().String()), "address already in use"},
		"a file that is missing": {with("--config", filepath.Join(dir, "none.yml")), "none.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), c.args, &out, &out); code == exitOK || !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "waiting to start") {
				t.Errorf("got %d, %s, want %s", code, out.String(), c.want)
			}
		})
	}
}
