package system

import (
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
	w := newWorld(t, cluster.Options{Nodes: 1})
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
