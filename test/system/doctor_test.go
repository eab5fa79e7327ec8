package system

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// The README's modules file, for the programs of a lab.
const modulesFile = `{"libraries": [{
  "file": "/srv/libmesos_command_modules.so",
  "modules": [{
    "name": "com_criteo_mesos_CommandIsolator",
    "parameters": [
      {"key": "module_name", "value": "flocker"},
      {"key": "isolator_prepare_command", "value": "` + lab.ProgramsDir + `/flocker-isolator-prepare"},
      {"key": "isolator_cleanup_command", "value": "` + lab.ProgramsDir + `/flocker-isolator-cleanup"}
    ]
  }]
}]}
`

// The doctor examines a process that is called as a Mesos agent is.
func TestDoctorTellsAGoodSetUpFromABadOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1, NoMesos: true}) // whose flags would be asked for
	n := w.Nodes[0]
	w.must(os.WriteFile(n.Path("/etc/flocker/modules.json"), []byte(modulesFile), 0o644))
	w.must(os.WriteFile(n.Path("/srv/libmesos_command_modules.so"), nil, 0o755))
	isolation := "--isolation=filesystem/linux,com_criteo_mesos_CommandIsolator"
	cases := map[string]struct {
		flags   []string
		healthy bool
		says    string
	}{
		"as in the README": {
			flags:   []string{isolation, "--modules=file:///etc/flocker/modules.json", "--containerizers=mesos"},
			healthy: true,
		},
		"without mounts of its own": {
			flags: []string{"--isolation=com_criteo_mesos_CommandIsolator", "--modules=file:///etc/flocker/modules.json"},
			says:  "lacks filesystem/linux",
		},
		"without the module": {
			flags: []string{"--isolation=filesystem/linux", "--modules=file:///etc/flocker/modules.json"},
			says:  "never called",
		},
		"impatient": {
			flags: []string{isolation, "--modules=file:///etc/flocker/modules.json", "--executor_registration_timeout=30secs"},
			says:  "--executor_registration_timeout",
		},
	}
	for name, c := range cases {
		agent := n.Command(t.Context(), "sh", append([]string{"-c", "sleep infinity & wait"}, c.flags...)...)
		agent.Args[0] = "mesos-agent"
		w.must(agent.Start())
		out, err := n.Command(t.Context(), "flocker-isolator", "doctor").Output()
		if healthy := err == nil; healthy != c.healthy || !strings.Contains(out, c.says) {
			t.Errorf("%s: it should be healthy: %v, and say %q: %v\n%s", name, c.healthy, c.says, err, out)
		}
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}
}

// The doctor computes from the times of a node's own volumes what must be set,
// and looks at what Marathon has.
func TestDoctorComputesTimeoutsFromTheNodesOwnVolumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	listener, err := n.Listen(w.ctx(), "tcp", "127.0.0.1:8080")
	w.must(err)
	marathon := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/info" {
			http.NotFound(rw, r)
			return
		}
		_, _ = io.WriteString(rw, `{"name": "marathon", "version": "1.11.24", "marathon_config": {"task_launch_timeout": 60000}}`)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = marathon.Serve(listener) }()
	defer func() { _ = marathon.Close(); <-served }()

	w.end(w.ready(n, ledger("app")))
	w.idle()
	w.end(w.ready(n, ledger("app")))
	w.idle()
	// What was counted outlives the agent, once it is written: within a second.
	w.until("the times are on disk", func() error {
		data, err := os.ReadFile(n.Path("/var/lib/flocker/agent/times.json"))
		if err == nil && !strings.Contains(string(data), `"attach"`) {
			err = fmt.Errorf("there is %s", data)
		}
		return err
	})
	n.Agent.Kill()
	w.must(n.Start(w.ctx()))
	w.must(n.AwaitConnected(w.ctx()))
	out, err := n.Command(t.Context(), "flocker-isolator", "doctor", "--marathon", "http://127.0.0.1:8080").Output()
	if err == nil {
		t.Error("the doctor finds Marathon's timeout long enough")
	}
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"ok wait-limit is 45s, volumes took up to ", "FAIL --task_launch_timeout is 1m0s, but a task may wait 45s for its volumes",
		"start Marathon with --task_launch_timeout 90000", "made and formatted up to 1GiB 1 ", "attached up to 1GiB 1 ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
}
