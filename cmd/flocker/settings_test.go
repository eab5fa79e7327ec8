package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/config"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

var settingsKinds = []struct {
	name     string
	settings any
	help     map[string]string
}{
	{"control", defaultControlSettings(), controlHelp},
	{"agent", defaultAgentSettings(), agentHelp},
}

func TestEverySettingIsExplained(t *testing.T) {
	for _, kind := range settingsKinds {
		known := map[string]bool{}
		for _, s := range config.Settings(kind.settings) {
			known[s.Key] = true
			if kind.help[s.Key] == "" {
				t.Errorf("%s: %s has no explanation", kind.name, s.Key)
			}
		}
		for key := range kind.help {
			if !known[key] {
				t.Errorf("%s: %s is explained but does not exist", kind.name, key)
			}
		}
	}
}

func TestManualHasAllSettings(t *testing.T) {
	const file = "../../docs/configuration.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	manual := string(data)
	for _, kind := range settingsKinds {
		begin, end := fmt.Sprintf("<!-- begin %s -->\n", kind.name), fmt.Sprintf("<!-- end %s -->", kind.name)
		before, rest, _ := strings.Cut(manual, begin)
		got, after, ok := strings.Cut(rest, end)
		if !ok {
			t.Fatalf("%s has no place for the settings of %s", file, kind.name)
		}
		want := settingsTable(kind.settings, kind.help)
		manual = before + begin + want + end + after
		if got != want && !*update {
			t.Errorf("%s: the table of %s is not what the program has:\ngot\n%s\nwant\n%s\n"+
				"go test ./cmd/flocker -run Manual -update mends it", file, kind.name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(manual), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func settingsTable(settings any, help map[string]string) string {
	var b strings.Builder
	b.WriteString("\n| key | default | meaning | variable |\n|---|---|---|---|\n")
	for _, s := range config.Settings(settings) {
		value, env := code(s.Value()), code(s.Env)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Key, value, help[s.Key], env)
	}
	b.WriteString("\n")
	return b.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// settingsFile writes a file of settings.
func settingsFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAgentSettingsOfFlockerAreUnderstood(t *testing.T) {
	file := settingsFile(t, `
version: 1
control-service:
  hostname: "172.31.0.1"
  port: 4525
dataset:
  backend: loopback
  root_path: /srv/volumes
logging:
  version: 1
  root: {level: DEBUG, handlers: [x]}
wait-limit: 20s
`)
	s := defaultAgentSettings()
	if err := config.New(s).Load(file, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Control, (controlAddress{Hostname: replicas{"172.31.0.1"}, Port: 4525}); !reflect.DeepEqual(got, want) {
		t.Errorf("control service: got %v, want %v", got, want)
	}
	if s.Dataset.RootPath != "/srv/volumes" || s.Agent.WaitLimit != 20*time.Second {
		t.Errorf("got %+v", s)
	}
	if got, want := s.certificates(file), filepath.Dir(file); got != want {
		t.Errorf("certificates: got %s, want the file's directory %s", got, want)
	}
	if got, want := s.certificates(""), "/etc/flocker"; got != want {
		t.Errorf("certificates without a file: got %s, want %s", got, want)
	}
}

func TestWrongSettingsStopTheProgramWithTheirPlace(t *testing.T) {
	control := "control-service: {hostname: x}\n"
	for name, tt := range map[string]struct {
		program, text string
		want          []string
	}{
		"nothing":                   {"agent", "", []string{"control-service.hostname: is missing", "FLOCKER_CONTROL_SERVICE_HOSTNAME"}},
		"another version":           {"agent", control + "version: 2\n", []string{"settings.yml:2: version: is 2"}},
		"an unknown backend":        {"agent", control + "dataset: {backend: aws}\n", []string{`settings.yml:2: dataset.backend: there is no backend "aws"; there is: loopback`}},
		"a relative root":           {"agent", control + "dataset: {root_path: x}\n", []string{"settings.yml:2: dataset.root_path:", "not an absolute path"}},
		"a bad zone":                {"agent", control + "zone: 'rack 1'\n", []string{"settings.yml:2: zone:", `"rack 1" is not the name of a zone`}},
		"a bad zone of a storage":   {"agent", control + "dataset: {zone: 'rack 1'}\n", []string{"settings.yml:2: dataset.zone:", `"rack 1"`}},
		"port 0":                    {"agent", "control-service: {hostname: x, port: 0}\n", []string{"settings.yml:1: control-service.port"}},
		"a bad Mesos address":       {"agent", control + "mesos: {agent: localhost:5051}\n", []string{"settings.yml:2: mesos.agent:", "http://"}},
		"a bad host":                {"agent", "control-service: {hostname: 'x,/y'}\n", []string{"settings.yml:1: control-service.hostname:", `"/y"`}},
		"a bad service":             {"agent", "control-service: {hostname: 'consul://a:8500/a_b'}\n", []string{"settings.yml:1: control-service.hostname:", `"a_b"`}},
		"hosts and a service":       {"agent", "control-service: {hostname: [x, 'consul://a:8500/b']}\n", []string{"settings.yml:1: control-service.hostname:", "either hosts"}},
		"a port to advertise":       {"control", "advertise: x:1\n", []string{"settings.yml:1: advertise:", "without a port"}},
		"a bad registration":        {"control", "register: a/b\n", []string{"settings.yml:1: register:", `"a/b"`}},
		"metrics for all":           {"agent", control + "metrics-listen: :4526\n", []string{"settings.yml:2: metrics-listen:"}},
		"no time to wait":           {"agent", control + "wait-limit: 0s\n", []string{"settings.yml:2: wait-limit:"}},
		"a typo":                    {"agent", control + "workrs: 1\n", []string{"settings.yml:2: workrs: there is no such setting"}},
		"a bad log":                 {"control", "log: {format: xml}\n", []string{`settings.yml:1: log.format: "xml" is neither text nor json`}},
		"a bad log level":           {"control", "log: {level: loud}\n", []string{`settings.yml:1: log.level: "loud"`}},
		"a bad size":                {"control", "default-size: big\n", []string{"settings.yml:1: default-size:", `"big"`}},
		"masters in ZooKeeper":      {"control", "mesos-masters: ['zk://a:2181/mesos']\n", []string{"settings.yml:1: mesos-masters:", "name the masters themselves"}},
		"a user of Mesos alone":     {"control", "mesos-user: flocker\n", []string{"mesos-password-file: mesos-user and mesos-password-file belong together"}},
		"a certificate without key": {"control", "mesos-cert-file: /x\n", []string{"mesos-key-file: mesos-cert-file and mesos-key-file belong together"}},
		"masters all the time":      {"control", "mesos-interval: 1ms\n", []string{"settings.yml:1: mesos-interval: 1ms is not between"}},
		"masters with no answer":    {"control", "mesos-max-answer: 1k\n", []string{`settings.yml:1: mesos-max-answer: "1k" is not a size`}},
		"a bad store":               {"control", "store: consul:x\nheartbeat: 0s\n", []string{"settings.yml:1: store:", "settings.yml:2: heartbeat:"}},
	} {
		t.Run(name, func(t *testing.T) {
			exit, _, stderr := flocker(t, tt.program, "--config", settingsFile(t, tt.text))
			if exit != exitFailure {
				t.Errorf("exit code: got %d, want %d", exit, exitFailure)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("got %q, want %q in it", stderr, want)
				}
			}
		})
	}
	if exit, _, stderr := flocker(t, "agent", "--config", "/nonexistent/agent.yml"); exit != exitFailure || !strings.Contains(stderr, "/nonexistent/agent.yml") {
		t.Errorf("a file that does not exist: got %d and %q", exit, stderr)
	}
}
