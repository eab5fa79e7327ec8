package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/pki"
)

// manual returns the commands of docs/certificates.md between two marks.
func manual(t *testing.T, mark string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/certificates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- begin "+mark+" -->\n```sh\n")
	commands, _, ok := strings.Cut(rest, "```\n<!-- end "+mark+" -->")
	if !ok {
		t.Fatalf("the manual has no commands marked %s", mark)
	}
	// Where this test's control service is.
	return strings.NewReplacer("flocker.example.net", "localhost", "10.0.0.5", "127.0.0.1").Replace(commands)
}

// startControl runs a control service with the certificates of a directory.
func startControl(t *testing.T, certs string) (users, agents string) {
	t.Helper()
	settings := defaultControlSettings()
	settings.Control.Listen, settings.Control.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	settings.Control.Certificates, settings.Control.Store = certs, "file:"+t.TempDir()
	service, err := openControl(t.Context(), settings, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return service.UserAddr().String(), service.AgentAddr().String()
}

// connectNode opens the stream of the node whose certificate a directory has.
func connectNode(t *testing.T, certs, agents string) {
	t.Helper()
	creds, err := pki.Load(certs, "node", pki.RoleNode, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	agent, err := client.NewAgent(client.Config{Endpoints: []string{agents}, TLS: creds.Client()})
	if err != nil {
		t.Fatal(err)
	}
	session, err := agent.Connect(t.Context(), api.Hello{
		Hostname: "machine", Era: "5d8f4a4a-9a52-4d7a-9e0a-111111111111", Agent: "a", Instance: "i", Backend: "loopback", Version: "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
}

// curl calls a path as the README does.
func curl(t *testing.T, certs, user, url string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"-sS", "--fail-with-body", "--cacert", "cluster.crt", "--cert", user + ".crt", "--key", user + ".key", url}, args...)
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	cmd.Dir = certs
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCertificatesOfOpenSSLAsInTheManualServe(t *testing.T) {
	for _, mark := range []string{"openssl", "intermediate"} {
		t.Run(mark, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "bash", "-euc", manual(t, mark))
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			testCertificates(t, dir)
		})
	}
}

func TestOwnCertificatesServeCurl(t *testing.T) {
	for _, key := range []string{"ecdsa", "rsa"} {
		t.Run(key, func(t *testing.T) {
			dir := t.TempDir()
			for _, args := range []string{"initialize x", "create-control-certificate localhost 127.0.0.1 -i .", "create-node-certificate -i .",
				"create-api-certificate alice -i .", "create-api-certificate dashboard --read-only -i ."} {
				args = strings.ReplaceAll(args, "-i .", "-i "+dir)
				if code, _, stderr := flocker(t, append(strings.Fields("ca "+args), "-o", dir, "--key", key)...); code != exitOK {
					t.Fatal(stderr)
				}
			}
			for from, to := range map[string]string{"control-localhost": "control-service", "????????-*": "node"} {
				for _, ext := range []string{".crt", ".key"} {
					found, err := filepath.Glob(filepath.Join(dir, from+ext))
					if err != nil || len(found) != 1 {
						t.Fatalf("%s: got %v and %v", from, found, err)
					}
					if err := os.Rename(found[0], filepath.Join(dir, to+ext)); err != nil {
						t.Fatal(err)
					}
				}
			}
			testCertificates(t, dir)
		})
	}
}

// testCertificates has everybody use the certificates of a directory.
func testCertificates(t *testing.T, dir string) {
	t.Helper()
	for _, base := range []string{"control-service", "node", "alice", "dashboard"} {
		purpose := "sslclient"
		if base == "control-service" {
			purpose = "sslserver"
		}
		crt := filepath.Join(dir, base+".crt")
		out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-x509_strict", "-purpose", purpose,
			"-CAfile", filepath.Join(dir, "cluster.crt"), "-untrusted", crt, crt).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s", base, out)
		}
		out, err = exec.CommandContext(t.Context(), "openssl", "x509", "-noout", "-text", "-in", crt).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Version: 3 (0x2)") {
			t.Errorf("%s: got %v and %s, want version 3", base, err, out)
		}
	}
	users, agents := startControl(t, dir)
	code, stdout, stderr := flocker(t, "ca", "check", "--certs-path", dir, "--host", "localhost", "--control", users, "--control", agents)
	if code != exitOK || !strings.Contains(stdout, "Errors: 0. Warnings: 0.") {
		t.Errorf("check: got %d and %s%s", code, stdout, stderr)
	}
	connectNode(t, dir, agents)

	// curl checks the name, and the address.
	_, port, err := net.SplitHostPort(users)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "control-service"} {
		out, err := curl(t, dir, "alice", "https://"+host+":"+port+"/v1/state/nodes", "--resolve", "control-service:"+port+":127.0.0.1",
			"--resolve", "localhost:"+port+":127.0.0.1")
		if err != nil || !strings.Contains(out, `"uuid"`) {
			t.Errorf("curl %s: got %v and %s, want the node", host, err, out)
		}
	}
	out, err := curl(t, dir, "alice", "https://elsewhere:"+port+"/v1/version", "--resolve", "elsewhere:"+port+":127.0.0.1")
	if err == nil || !strings.Contains(out, "(60)") {
		t.Errorf("curl by another name: got %v and %s, want (60)", err, out)
	}
	if out, err := curl(t, dir, "node", "https://127.0.0.1:"+port+"/v1/version"); err == nil {
		t.Errorf("curl as a node: got %s, want a refusal", out)
	}
	out, err = curl(t, dir, "dashboard", "https://127.0.0.1:"+port+"/v1/configuration/datasets", "-X", "POST", "-d", "{}")
	if err == nil || !strings.Contains(out, "is a reader's") {
		t.Errorf("curl as a reader that writes: got %v and %s, want 403 with the reason", err, out)
	}
}
