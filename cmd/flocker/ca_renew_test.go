package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

// newCADir makes an authority, and a certificate of each role that ends soon.
func newCADir(t *testing.T) string {
	t.Helper()
	d := &devDir{root: t.TempDir()}
	if err := d.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	return d.certs()
}

func TestCARenewsInPlaceAndElsewhere(t *testing.T) {
	dir, out := newCADir(t), t.TempDir()
	user, node := filepath.Join(dir, "user.crt"), filepath.Join(dir, "node.crt")
	end := time.Now().Add(100 * day).UTC().Format(time.DateOnly)
	code, stdout, stderr := flocker(t, "ca", "renew", user, node, "-i", dir, "--days", "100")
	if code != exitOK || !strings.Contains(stdout, "Renewed "+user+" of the user user: valid until "+end+" instead of ") ||
		!strings.Contains(stdout, "with the same key.") || !strings.Contains(stderr, "The old one is kept: "+user+".old.") {
		t.Errorf("in place: got %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, stderr = flocker(t, "ca", "renew", node, "-i", dir, "-o", out, "--new-key", "--key", "rsa")
	if code != exitOK || !strings.Contains(stdout, "with a new key, "+filepath.Join(out, "node.key")) || strings.Contains(stderr, "kept") {
		t.Errorf("elsewhere: got %d, %s, %s", code, stdout, stderr)
	}
	if all, err := pki.Show(filepath.Join(out, "node.crt")); err != nil || all[0].Key != "RSA 4096" {
		t.Errorf("got %+v and %v, want a key of RSA", all, err)
	}
	code, _, stderr = flocker(t, "ca", "renew", node, "-i", dir, "--days", "36500")
	if code != exitOK || !strings.Contains(stderr, "It ends with its authority") {
		t.Errorf("for too long: got %d, %s", code, stderr)
	}
	for args, want := range map[string]string{
		"renew":                                  "expected at least one certificate's file, got 0",
		"renew " + node + " --days 0 -i " + dir:  "--days 0",
		"renew " + dir + "/none.crt -i " + dir:   "no such file",
		"renew " + node + " -i " + out:           "flocker-ca initialize",
		"renew-authority x":                      "expected no arguments, got 1",
		"renew-authority -i " + dir:              "ask for more days",
		"retire-authority -i " + dir:             "none to retire",
		"replace-authority dev -i " + dir:        "cannot be told apart",
		"show":                                   "expected at least one certificate's file, got 0",
		"show " + node + " -o xml":               `--output "xml": want text or json`,
		"check --certs-path " + out + "/nowhere": "there are no certificates",
	} {
		if code, _, stderr := flocker(t, append([]string{"ca"}, strings.Fields(args)...)...); code == exitOK || !strings.Contains(stderr, want) {
			t.Errorf("%s: got %d and %q, want %q", args, code, stderr, want)
		}
	}
}

func TestCAReplacesTheAuthorityInThreeSteps(t *testing.T) {
	dir := newCADir(t)
	step := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := flocker(t, append([]string{"ca"}, args...)...)
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Fatalf("%v: got %d, %s, %s; want %q", args, code, stdout, stderr, want)
		}
	}
	step("valid until", "renew-authority", "-i", dir, "--days", "9000")
	step("Made the authority dev-2, which signs from now on; cluster.crt has it and dev.", "replace-authority", "-i", dir)
	if code, _, stderr := flocker(t, "ca", "retire-authority", "-i", dir); code != exitFailure ||
		!strings.Contains(stderr, "not renewed yet: control-service.crt, node.crt, user.crt") || !strings.Contains(stderr, "--force") {
		t.Errorf("too early: got %d and %s", code, stderr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "[cnu]*[er].crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) != pki.AuthorityCert {
			step("Renewed", "renew", "-i", dir, file)
		}
	}
	step("Renewed", "renew", "-i", dir, filepath.Join(dir, "control-service.crt"))
	step("Retired the authority dev; cluster.crt has dev-2 alone.", "retire-authority", "-i", dir)
	step("Errors: 0. Warnings: 0.", "check", "--certs-path", dir, "--host", "127.0.0.1")
}

func TestCAShowsAndChecksForPeopleAndPrograms(t *testing.T) {
	dir := newCADir(t)
	code, stdout, stderr := flocker(t, "ca", "show", filepath.Join(dir, "control-service.crt"))
	for _, want := range []string{"Role     control\n", "Names    control-service, localhost", "127.0.0.1", "ends in 1824 days", "Key      ECDSA P-256\n", "version 3\n"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("show: got %d, %s, %s; want %q", code, stdout, stderr, want)
		}
	}
	code, stdout, _ = flocker(t, "ca", "show", "-o", "json", filepath.Join(dir, "cluster.crt"), filepath.Join(dir, "node.crt"))
	var all []pki.Details
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != exitOK || len(all) != 2 ||
		all[0].Role != pki.RoleAuthority || all[1].Role != pki.RoleNode || all[0].Cluster != all[1].Cluster {
		t.Errorf("show as JSON: got %d, %v, %s", code, err, stdout)
	}
	if err := os.Chmod(filepath.Join(dir, "node.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = flocker(t, "ca", "check", "--certs-path", dir, "--host", "10.9.9.9")
	for _, want := range []string{"error    " + filepath.Join(dir, "node.crt") + " (mode)\n", "To do: chmod 600 " + filepath.Join(dir, "node.key") + "\n",
		"(names)\n         is not for 10.9.9.9", "Files checked: 4. Errors: 2. Warnings: 0.\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("check: got %s, want %q", stdout, want)
		}
	}
	if code != exitFailure || !strings.Contains(stderr, "errors: 2") {
		t.Errorf("check: got %d and %s, want %d", code, stderr, exitFailure)
	}
	code, stdout, _ = flocker(t, "ca", "check", filepath.Join(dir, "node.crt"), "-o", "json")
	var findings []pki.Finding
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != exitFailure || len(findings) != 1 || findings[0].Rule != pki.RuleMode {
		t.Errorf("check as JSON: got %d, %v, %s", code, err, stdout)
	}
	code, stdout, _ = flocker(t, "ca", "check", filepath.Join(dir, "user.crt"), "-o", "json")
	if code != exitOK || strings.TrimSpace(stdout) != "[]" {
		t.Errorf("check of what is well: got %d and %s, want an empty list", code, stdout)
	}
}

func TestCACheckCallsTheControlService(t *testing.T) {
	dir, other := newCADir(t), newCADir(t)
	users, agents := startControl(t, dir)
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a user":                     {[]string{filepath.Join(dir, "user.crt"), "--control", users}, exitOK, "Errors: 0. Warnings: 0."},
		"a node":                     {[]string{filepath.Join(dir, "node.crt"), "--control", agents}, exitOK, "Errors: 0. Warnings: 0."},
		"all at both":                {[]string{"--certs-path", dir, "--control", users, "--control", agents}, exitOK, "Errors: 0. Warnings: 0."},
		"a node at the users' port":  {[]string{filepath.Join(dir, "node.crt"), "--control", users}, exitFailure, "(admission)"},
		"another cluster's":          {[]string{filepath.Join(other, "user.crt"), "--control", users}, exitFailure, "(chain)"},
		"nothing there":              {[]string{filepath.Join(dir, "user.crt"), "--control", "127.0.0.1:1"}, exitFailure, "connection refused"},
		"no port":                    {[]string{filepath.Join(dir, "user.crt"), "--control", "127.0.0.1"}, exitFailure, "is not HOST:PORT"},
		"a name that is not its own": {[]string{filepath.Join(dir, "user.crt"), "--control", strings.Replace(users, "127.0.0.1", "127.0.0.1.", 1)}, exitFailure, ""},
	} {
		code, stdout, stderr := flocker(t, append([]string{"ca", "check"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stdout, tt.want) {
			t.Errorf("%s: got %d, %s%s; want %d and %q", name, code, stdout, stderr, tt.code, tt.want)
		}
	}
}
