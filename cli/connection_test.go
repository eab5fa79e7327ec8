package cli_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/cli/controltest"
)

// origins returns where `context show` says that settings come from.
func (c *cluster) origins(t *testing.T, args ...string) map[string][2]string {
	t.Helper()
	out, _, err := c.run(t, append([]string{"context", "show", "-o", "json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Setting, Value, From string }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string][2]string{}
	for _, o := range all {
		found[o.Setting] = [2]string{o.Value, o.From}
	}
	return found
}

func TestSettingsComeFromTheStrongestPlace(t *testing.T) {
	certs := t.TempDir()
	if err := os.WriteFile(filepath.Join(certs, "agent.yml"), []byte("of-agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	const file = "current: prod\ncontexts:\n  prod: {control-service: of-context, user: bob, control-port: 1000, certs-path: ~/prod}\n" +
		"  files: {ca-file: /f/ca, cert-file: /f/cert, key-file: ~/key}\n  empty: {}\n"
	tests := map[string]struct {
		env  map[string]string
		args string
		want map[string][2]string
	}{
		"flags": {
			map[string]string{"FLOCKER_CONTROL_SERVICE": "of-env", "FLOCKER_USER": "eve"}, "--control-service of-flag --control-port 7 --user zoe --certs-path /z",
			map[string][2]string{
				"control-service": {"of-flag", "flag --control-service"}, "control-port": {"7", "flag --control-port"},
				"user": {"zoe", "flag --user"}, "cert-file": {"/z/zoe.crt", "certs-path and user"}, "ca-file": {"/z/cluster.crt", "certs-path and user"},
			},
		},
		"the environment": {
			map[string]string{"FLOCKER_CONTROL_SERVICE": "of-env", "FLOCKER_CONTROL_SERVICE_HOST": "of-kubernetes", "FLOCKER_CONTROL_PORT": "8"}, "",
			map[string][2]string{
				"control-service": {"of-env", "environment variable FLOCKER_CONTROL_SERVICE"}, "control-port": {"8", "environment variable FLOCKER_CONTROL_PORT"},
				"user": {"bob", "context prod"}, "cert-file": {"{home}/prod/bob.crt", "certs-path and user"},
			},
		},
		"the environment of Kubernetes' plugin": {
			map[string]string{
				"FLOCKER_CONTROL_SERVICE_HOST": "of-kubernetes", "FLOCKER_CONTROL_SERVICE_PORT": "9", "FLOCKER_CONTROL_SERVICE_CA_FILE": "/k/ca",
				"FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE": "/k/cert", "FLOCKER_CONTROL_SERVICE_CLIENT_KEY_FILE": "/k/key",
			}, "", map[string][2]string{
				"control-service": {"of-kubernetes", "environment variable FLOCKER_CONTROL_SERVICE_HOST"},
				"control-port":    {"9", "environment variable FLOCKER_CONTROL_SERVICE_PORT"},
				"ca-file":         {"/k/ca", "environment variable FLOCKER_CONTROL_SERVICE_CA_FILE"},
				"cert-file":       {"/k/cert", "environment variable FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE"},
				"key-file":        {"/k/key", "environment variable FLOCKER_CONTROL_SERVICE_CLIENT_KEY_FILE"},
			},
		},
		"a user who is named more strongly than files": {
			map[string]string{"FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE": "/k/cert", "FLOCKER_CONTROL_SERVICE_CA_FILE": "/k/ca"}, "--user zoe",
			map[string][2]string{
				"cert-file": {"{home}/prod/zoe.crt", "certs-path and user"}, "ca-file": {"/k/ca", "environment variable FLOCKER_CONTROL_SERVICE_CA_FILE"},
			},
		},
		"the current context": {nil, "", map[string][2]string{
			"control-service": {"of-context", "context prod"}, "control-port": {"1000", "context prod"},
			"certs-path": {"{home}/prod", "context prod"},
		}},
		"another context, by the environment": {map[string]string{"FLOCKER_CONTEXT": "files"}, "", map[string][2]string{
			"ca-file": {"/f/ca", "context files"}, "key-file": {"{home}/key", "context files"}, "user": {"user", "default"},
		}},
		"another context, by a flag": {map[string]string{"FLOCKER_CONTEXT": "files"}, "--context empty", map[string][2]string{
			"control-service": {"", "nowhere"}, "certs-path": {"/etc/flocker", "default"}, "ca-file": {"/etc/flocker/cluster.crt", "certs-path and user"},
		}},
		"another context, by its name": {nil, "empty", map[string][2]string{"user": {"user", "default"}}},
		"agent.yml": {map[string]string{"FLOCKER_CERTS_PATH": certs}, "--context empty", map[string][2]string{
			"control-service": {"of-agent", certs + "/agent.yml"}, "control-port": {"4523", "default"},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := &cluster{env: map[string]string{"HOME": t.TempDir()}}
			maps.Copy(c.env, tt.env)
			path := filepath.Join(c.env["HOME"], ".config/flocker/config.yml")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			got := c.origins(t, strings.Fields(tt.args)...)
			fill := strings.NewReplacer("{home}", c.env["HOME"])
			for key, want := range tt.want {
				if want = [2]string{fill.Replace(want[0]), fill.Replace(want[1])}; got[key] != want {
					t.Errorf("%s: got %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

func TestContextsAreKeptAndUsed(t *testing.T) {
	c := newCluster(t)
	host, port, certs, user := c.Host, c.Port, c.env["FLOCKER_CERTS_PATH"], controltest.User
	c.env = map[string]string{"HOME": t.TempDir(), "FLOCKER_CONFIG": filepath.Join(t.TempDir(), "config.yml")}
	steps := []struct{ args, want string }{
		{"context list", c.env["FLOCKER_CONFIG"] + " has no contexts. To create one: "},
		{"context list -o json", "[]\n"},
		{"nodes list", "which control service? Name its host with --control-service or FLOCKER_CONTROL_SERVICE, or keep it: flocker context set NAME"},
		{"context set lab --control-service " + host + " --certs-path " + certs, "Context lab saved.\n"},
		{"nodes list", "no such file"}, // the user is called user
		{"context set lab --control-port " + port + " --user " + user, "Context lab saved.\n"},
		{"nodes list -o name", "node1.example.net\n"},
		{"context set prod --control-service a,b", "To use it: flocker context use prod"},
		{"context set prod --control-port x", `--control-port: "x" is not a port`},
		{"context list", "*   lab "},
		{"context list -o name", "lab\nprod\n"},
		{"context use prod", "Now using context prod."},
		{"nodes list --context lab -o name", "node1.example.net\n"},
		{"context use nowhere", `"nowhere": there is no such context; there are: lab, prod`},
		{"nodes list --context nowhere", `--context "nowhere": there is no such context; there are: lab, prod`},
		{"context delete prod", "Context prod deleted."},
		{"context list -o json", `"current": false`},
		{"context set lab --user= ", "Context lab saved."},
		{"context show lab -o name", "lab\n"},
	}
	for _, step := range steps {
		out, errs, err := c.run(t, strings.Fields(step.args)...)
		if err != nil {
			errs += err.Error()
		}
		if !strings.Contains(out+errs, step.want) {
			t.Errorf("flocker %s: got %s%s\nwant %s", step.args, out, errs, step.want)
		}
	}
	c.env["FLOCKER_CONTEXT"] = "gone"
	if _, _, err := c.run(t, "nodes", "list"); err == nil || !strings.Contains(err.Error(), `environment variable FLOCKER_CONTEXT: "gone": there is no such context`) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(c.env["FLOCKER_CONFIG"], []byte("contexts:\n  x: y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"nodes list", "context list", "context set x --user y"} {
		if _, _, err := c.run(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), "config.yml:2: context x: want settings") {
			t.Errorf("%s with a malformed file: got %v", args, err)
		}
	}
}

func TestContextsAreListedToFit(t *testing.T) {
	c := &cluster{env: map[string]string{"HOME": "/home/alice", "FLOCKER_CONFIG": shortPath(t)}}
	const file = "current: production\ncontexts:\n  production: {control-service: 'a.example.net,b.example.net,c.example.net', user: alice, certs-path: /home/alice/.flocker/production}\n" +
		"  lab: {control-service: 127.0.0.1, control-port: 14523, ca-file: /l/ca, cert-file: /l/cert, key-file: /l/key}\n"
	if err := os.WriteFile(c.env["FLOCKER_CONFIG"], []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for where, screen := range screens() {
		c.screen = screen
		for name, args := range map[string]string{"context-list": "context list", "context-show": "context show"} {
			out, _, err := c.run(t, strings.Fields(args)...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+where, strings.ReplaceAll(out, c.env["FLOCKER_CONFIG"], "/config.yml"))
		}
	}
}

// shortPath returns a file that fits into a line of a narrow screen.
func shortPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "c.yml")
}

func TestReadersMayRead(t *testing.T) {
	c := newCluster(t)
	reader := controltest.Reader(t, c.env["FLOCKER_CERTS_PATH"])
	if out, _, err := c.run(t, "nodes", "list", "--cert-file", reader.Cert, "--key-file", reader.Key, "-o", "name"); err != nil || !strings.HasPrefix(out, "node1") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestOwnersOfCertificatesThatEndAreWarned(t *testing.T) {
	c := newCluster(t)
	c.clock = time.Now // which certificates go by
	short := controltest.Short(t, c.env["FLOCKER_CERTS_PATH"])
	args := []string{"nodes", "list", "--cert-file", short.Cert, "--key-file", short.Key}
	if _, errs, err := c.run(t, args...); err != nil || !strings.Contains(errs, "Warning: your certificate, or its authority's, ends ") {
		t.Errorf("got %q, %v", errs, err)
	}
	if _, errs, err := c.run(t, append(args, "-o", "json")...); err != nil || errs != "" {
		t.Errorf("a program: got %q, %v, want nothing", errs, err)
	}
}
