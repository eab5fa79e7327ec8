package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flocker runs one command line and returns what it printed.
func flocker(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCAMakesAClustersCertificates(t *testing.T) {
	dir := t.TempDir()
	// The lines are Flocker's own, which scripts take apart.
	for _, tt := range []struct {
		args []string
		says string
		hint string
	}{
		{
			[]string{"initialize", "mycluster", "-o", dir},
			"Created cluster.key and cluster.crt. Please keep cluster.key secret, as anyone who can access it will be able to control your cluster.\n",
			"none cluster.key",
		},
		{
			[]string{"create-control-certificate", "10.0.0.5", "flocker.example.net", "-i", dir, "-o", dir},
			"Created control-10.0.0.5.crt. Copy it over to /etc/flocker/control-service.crt on your control service machine, and make sure to chmod 0600 it.\n",
			"/etc/flocker/control-service.key",
		},
		{
			[]string{"create-node-certificate", "-i", dir, "-o", dir, "--node", "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"},
			"Created 9c1d2e3f-7a6b-4c5d-8e9f-102132435465.crt. Copy it over to /etc/flocker/node.crt on your node machine, and make sure to chmod 0600 it.\n",
			"/etc/flocker/node.key",
		},
		{
			[]string{"create-api-certificate", "alice", "-i", dir, "-o", dir, "--days=10"},
			"Created alice.crt. You can now give it to your API enduser so they can access the control service API.\n",
			"do everything",
		},
		{
			[]string{"create-api-certificate", "dashboard", "--read-only", "-i", dir, "-o", dir},
			"Created dashboard.crt. You can now give it to your API enduser so they can access the control service API.\n",
			"change nothing",
		},
	} {
		code, stdout, stderr := flocker(t, append([]string{"ca"}, tt.args...)...)
		if code != exitOK || stdout != tt.says || !strings.Contains(stderr, tt.hint) {
			t.Fatalf("%v: got %d, %q, %q; want %q and %q", tt.args, code, stdout, stderr, tt.says, tt.hint)
		}
	}
	code, stdout, stderr := flocker(t, "ca", "create-node-certificate", "--inputpath", dir, "--outputpath", dir, "--key=rsa")
	if code != exitOK {
		t.Fatal(stderr)
	}
	// As ClusterHQ's deploy.py takes it apart.
	node := strings.Split(strings.Split(stdout, ".")[0], " ")[1]
	if _, err := os.Stat(filepath.Join(dir, node+".key")); err != nil {
		t.Error(err)
	}
	control, err := tls.LoadX509KeyPair(filepath.Join(dir, "control-10.0.0.5.crt"), filepath.Join(dir, "control-10.0.0.5.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"10.0.0.5", "flocker.example.net", "control-service"} {
		if err := control.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	alice, err := tls.LoadX509KeyPair(filepath.Join(dir, "alice.crt"), filepath.Join(dir, "alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(alice.Leaf.NotAfter); left > 10*day || left < 9*day {
		t.Errorf("certificate of 10 days: got %v", left)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(entries), 12; got != want {
		t.Errorf("files: got %d, want %d", got, want)
	}
}

func TestCASaysWhatIsWrong(t *testing.T) {
	dir, existing := t.TempDir(), t.TempDir()
	if code, _, stderr := flocker(t, "ca", "initialize", "x", "-o", existing); code != exitOK {
		t.Fatal(stderr)
	}
	for name, tt := range map[string]struct {
		args string
		code int
		want string
	}{
		"no authority":         {"ca create-node-certificate -i " + dir, exitFailure, "Error: Unable to load certificate authority file. Please run `flocker-ca initialize` to generate a new certificate authority."},
		"no name":              {"ca initialize", exitUsage, "expected one cluster's name, got 0"},
		"no host":              {"ca create-control-certificate", exitUsage, "expected at least one host name"},
		"no such directory":    {"ca initialize x -o " + dir + "/none", exitFailure, dir + "/none"},
		"a bad key type":       {"ca initialize x --key dsa -o " + dir, exitFailure, `key type "dsa": want ecdsa or rsa`},
		"no node":              {"ca create-node-certificate --node 1 -i " + existing, exitFailure, `node "1": want the UUID`},
		"no days":              {"ca initialize x --days 0", exitUsage, "--days 0"},
		"a mistyped command":   {"ca initialise x", exitUsage, `there is no command "initialise"; did you mean "initialize"?`},
		"a mistyped group":     {"cs", exitUsage, `there is no command "cs"; did you mean "ca"?`},
		"a mistyped flag":      {"ca initialize --outptu x", exitUsage, "unknown flag: --outptu"},
		"a word after version": {"version x", exitUsage, "expected no arguments, got 1"},
	} {
		code, _, stderr := flocker(t, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: got %d and %q, want %d and %q", name, code, stderr, tt.code, tt.want)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	code, stdout, _ := flocker(t, "version")
	if fields := strings.Fields(stdout); code != exitOK || len(fields) < 3 || fields[0] != "flocker" {
		t.Errorf("got %d and %q", code, stdout)
	}
}
