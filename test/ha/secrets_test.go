package ha

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// TestNoSecretIsTold plants secrets wherever the programs take them, has them fail and
// report in every way, and looks for the secrets in all that they say.
func TestNoSecretIsTold(t *testing.T) {
	w := prepareWorld(t, cluster.Options{Nodes: 1, Replicas: 1, Consul: 1})
	n, r, c := w.Nodes[0], w.Controls[0], w.Consul[0]
	secrets := map[string]string{"token of Consul": "planted-consul-token", "password of Marathon": "planted-marathon-password", "password of Mesos": "planted-mesos-password"}
	put := func(path, text string) {
		t.Helper()
		w.must(os.WriteFile(r.Path(path), []byte(text), 0o600))
	}
	put("/root/token", secrets["token of Consul"]+"\n")
	put("/root/marathon", secrets["password of Marathon"]+"\n")
	put("/root/mesos", secrets["password of Mesos"]+"\n")
	settings, err := os.ReadFile(r.Path("/etc/flocker/control.yml"))
	w.must(err)
	text := strings.ReplaceAll(string(settings), "/"+cluster.LogPrefix+"\n", "/"+cluster.LogPrefix+"?token-file=/root/token\n") +
		"metrics-listen: 127.0.0.1:9000\nmarathon: http://127.0.0.1:1\nmarathon-user: flocker\nmarathon-password-file: /root/marathon\n" +
		"mesos-masters: http://127.0.0.1:2\nmesos-user: flocker\nmesos-password-file: /root/mesos\nlog:\n  level: debug\n"
	if !strings.Contains(text, "token-file") {
		t.Fatalf("the settings are %s", text)
	}
	put("/etc/flocker/control.yml", text)
	w.must(w.Start(w.ctx()))
	for _, host := range []string{r.Path("/etc/flocker"), n.Path("/etc/flocker")} {
		keys, err := filepath.Glob(host + "/*.key")
		if err != nil || len(keys) == 0 {
			t.Fatalf("no keys in %s: %v", host, err)
		}
		for _, key := range keys {
			text, err := os.ReadFile(key)
			w.must(err)
			secrets[key] = strings.Split(string(text), "\n")[1]
		}
	}
	identity, err := os.ReadFile(n.Path("/var/lib/flocker/agent/agent-id"))
	w.must(err)
	secrets["identity of the agent"] = strings.TrimSpace(string(identity))

	said := map[string][]byte{}
	run := func(args ...string) {
		out, err := w.Flocker(w.ctx(), args...)
		said["flocker "+strings.Join(args, " ")] = fmt.Append(nil, out, err)
	}
	ask := func(paths ...string) {
		for _, path := range paths {
			ctx, cancel := context.WithTimeout(w.ctx(), 3*time.Second)
			text, err := r.Call(ctx, http.MethodGet, path, nil)
			cancel()
			said["GET "+path] = fmt.Append(nil, string(text), err)
		}
	}
	use := w.use(n, "c", "app")
	w.must(w.write(n, use, "x"))
	if out, err := w.flocker(r, "control", "backup", backupFile); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if info, err := os.Stat(r.Path(backupFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v, want it for its owner alone", info.Mode(), err)
	}
	all := func(when string) {
		ask("/v1/nodes", "/v1/nodes/"+string(n.ID), "/v1/status", "/v1/volumes", "/v1/volumes/app", "/v1/backends", "/v1/backup", "/v1/watch",
			"/v1/configuration/datasets", "/v1/state/nodes", "/v1/state/datasets", "/v1/configuration/leases", "/v1/x")
		run("status", "-o", "json")
		run("nodes", "list", "-o", "yaml")
		run("volumes", "show", "app")
		status, err := n.Status(w.ctx())
		said["the agent's status"] = fmt.Appendf(nil, "%+v %v", status, err)
		out, err := r.Command(w.ctx(), "curl", "-s", "http://127.0.0.1:9000/metrics").Output()
		said["metrics"] = fmt.Append(nil, out, err)
		for _, pid := range []int{r.Process.Pid(), n.Agent.Pid()} {
			for _, file := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
				w.must(err)
				said[fmt.Sprintf("%s of %d", file, pid)] = text
			}
		}
		backup, err := os.ReadFile(r.Path(backupFile))
		w.must(err)
		said["backup"] = backup
		logs, err := filepath.Glob(filepath.Join(w.Lab.Dir, "hosts/*/log/*.log"))
		w.must(err)
		for _, file := range logs {
			if said[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		for where, text := range said {
			for what, secret := range secrets {
				if bytes.Contains(text, []byte(secret)) {
					t.Errorf("%s: %s has the %s", when, where, what)
				}
			}
		}
		if !bytes.Contains(said["metrics"], []byte("flocker_control_")) {
			t.Errorf("%s: the metrics are %s", when, said["metrics"])
		}
		if !bytes.Contains(said["GET /v1/nodes"], []byte(n.ID)) && when == "all is well" {
			t.Errorf("GET /v1/nodes got %s", said["GET /v1/nodes"])
		}
	}
	all("all is well")
	c.Process.Kill()
	all("without Consul")
	w.must(c.Start())
	w.must(w.AwaitLeader(w.ctx()))

	t.Log("and what is written in the wrong place is not repeated")
	w.killAll()
	for _, store := range []string{"consul://flocker:planted-consul-token@127.0.0.1:8500/f", "consul://127.0.0.1:8500/f?token=planted-consul-token",
		"consul:/127.0.0.1:8500/f?token=planted-consul-token", "http://flocker:planted-consul-token@127.0.0.1:8500/f"} {
		for _, args := range [][]string{{"control"}, {"control", "repair"}, {"control", "accept-log", "empty"}, {"control", "restore", backupFile}} {
			cmd := r.Command(w.ctx(), "flocker", args...)
			cmd.Env = append(cmd.Env, "FLOCKER_STORE="+store)
			out, err := cmd.Output()
			if err == nil {
				t.Errorf("%v takes %s", args, store)
			}
			if text := fmt.Sprint(out, err); strings.Contains(text, "planted") {
				t.Errorf("%v tells the token: %s", args, text)
			}
		}
	}
}
