package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/config"
)

type limits struct {
	Wait    time.Duration `yaml:"wait-limit" env:"FLOCKER_WAIT"`
	Workers int           `yaml:"workers"`
}

type level string

func (l *level) UnmarshalText(b []byte) error {
	switch string(b) {
	case "debug", "info":
		*l = level(b)
		return nil
	}
	return api.Errorf(api.CodeInvalid, "want debug or info")
}

func (l level) MarshalText() ([]byte, error) { return []byte(l), nil }

type settings struct {
	Inline  limits `yaml:",inline"`
	Name    string `yaml:"name"`
	Control struct {
		Host string `yaml:"hostname"`
		Port uint16 `yaml:"port"`
	} `yaml:"control-service"`
	Loud    bool              `yaml:"loud"`
	Nets    []string          `yaml:"nets"`
	Sizes   map[string]string `yaml:"sizes"`
	Level   level             `yaml:"level"`
	Format  int               `yaml:"format" env:"-"`
	private int
}

func (s settings) Validate() error {
	if s.Inline.Workers < 1 {
		return errors.Join(
			api.FieldErrorf("workers", "%d is not a number from 1 on", s.Inline.Workers), s.checkFormat())
	}
	return s.checkFormat()
}

func (s settings) checkFormat() error {
	if s.Format != 0 {
		return api.FieldErrorf("format", "%d is not 0", s.Format)
	}
	return nil
}

func defaults() *settings {
	s := &settings{private: 7}
	s.Inline = limits{Wait: 45 * time.Second, Workers: 8}
	s.Control.Port = 4524
	s.Nets = []string{"a", "b"}
	s.Sizes = map[string]string{"x": "y"}
	s.Level = "info"
	return s
}

// load fills the defaults from a file with the given text, an environment and
// flags.
func load(t *testing.T, text string, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	s := defaults()
	loader := config.New(s)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	loader.AddFlags(flags, func(key string) string { return "about " + key })
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	file := ""
	if text != "" {
		file = filepath.Join(t.TempDir(), "agent.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := loader.Load(file, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	return s, err
}

func TestDefaultsHoldWhereNothingIsSet(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "name:\ncontrol-service:\n", "{}"} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Inline.Wait != 45*time.Second || got.Control.Port != 4524 || len(got.Nets) != 2 || got.private != 7 {
			t.Errorf("%q: got %+v, want the defaults", text, got)
		}
	}
}

func TestLaterPlacesAreStronger(t *testing.T) {
	text := "wait-limit: 1s\nworkers: 1\nname: 007\nnets: [c]\ncontrol-service: {hostname: h, port: 1}\nloud: true\nsizes: {a: b}\nlevel: debug\n"
	got, err := load(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Inline.Wait != time.Second || got.Name != "007" || got.Control.Host != "h" || !got.Loud || got.Level != "debug" {
		t.Errorf("file: got %+v", got)
	}
	if len(got.Nets) != 1 || got.Nets[0] != "c" || len(got.Sizes) != 1 || got.Sizes["a"] != "b" {
		t.Errorf("file: a list or map kept something of its default: got %v and %v", got.Nets, got.Sizes)
	}

	env := map[string]string{
		"FLOCKER_WAIT": "2m", "FLOCKER_WORKERS": "2", "FLOCKER_CONTROL_SERVICE_PORT": "2", "FLOCKER_NAME": "0x1F",
		"FLOCKER_NETS": "d, e", "FLOCKER_SIZES": "{k: v}", "FLOCKER_LOUD": "false", "FLOCKER_LEVEL": "info",
		"FLOCKER_CONTROL_SERVICE_HOSTNAME": "",
	}
	if got, err = load(t, text, env); err != nil {
		t.Fatal(err)
	}
	if got.Inline.Wait != 2*time.Minute || got.Inline.Workers != 2 || got.Control.Port != 2 || got.Name != "0x1F" || got.Loud || got.Level != "info" {
		t.Errorf("environment: got %+v", got)
	}
	if got.Control.Host != "h" {
		t.Errorf("an empty variable: got %q, want the file's value", got.Control.Host)
	}
	if strings.Join(got.Nets, "|") != "d|e" || got.Sizes["k"] != "v" {
		t.Errorf("environment: got %v and %v", got.Nets, got.Sizes)
	}

	if got, err = load(t, text, env, "--workers=3", "--control-service-port=3", "--name="); err != nil {
		t.Fatal(err)
	}
	if got.Inline.Workers != 3 || got.Control.Port != 3 || got.Name != "" {
		t.Errorf("flags: got %+v", got)
	}
	if got.Inline.Wait != 2*time.Minute {
		t.Errorf("a flag that was not given: got %v, want the environment's value", got.Inline.Wait)
	}
}

func TestMistakesAreNamedWithPlaceKeyValueAndRemedy(t *testing.T) {
	tests := map[string]struct {
		text string
		env  map[string]string
		args []string
		want []string
	}{
		"an unknown key":          {text: "name: x\nwait-limt: 1s\n", want: []string{"agent.yml:2: wait-limt: there is no such setting", "wait-limit, workers"}},
		"an unknown nested key":   {text: "control-service:\n  host: x\n", want: []string{"agent.yml:2: control-service.host:", "there are: hostname, port"}},
		"a key twice":             {text: "name: x\nname: y\n", want: []string{"agent.yml:2: name: is there already, on line 1"}},
		"a value of another kind": {text: "wait-limit: long\n", want: []string{"agent.yml:1: wait-limit:", `got "long", want a duration such as 45s`}},
		"a number out of range":   {text: "control-service: {port: 70000}\n", want: []string{"control-service.port", `got "70000", want a whole number from 0 to 65535`}},
		"a list for a text":       {text: "name: [x]\n", want: []string{"agent.yml:1: name:", "want a text"}},
		"a text for a section":    {text: "control-service: x\n", want: []string{"agent.yml:1: settings.control-service: want settings in the form `key: value`"}},
		"no mapping at all":       {text: "- x\n", want: []string{"agent.yml:1: settings: want settings"}},
		"no YAML":                 {text: "name: [\n", want: []string{"read settings", "agent.yml", "line"}},
		"two documents":           {text: "name: x\n---\nname: y\n", want: []string{"agent.yml", "more than one YAML document"}},
		"a text of its own kind":  {text: "level: loud\n", want: []string{"agent.yml:1: level:", `"loud": want debug or info`}},
		"a variable":              {env: map[string]string{"FLOCKER_WAIT": "1"}, want: []string{"environment variable FLOCKER_WAIT", `got "1", want a duration`}},
		"a flag":                  {args: []string{"--loud=maybe"}, want: []string{"flag --loud", `got "maybe", want true or false`}},
		"refused, from the file":  {text: "\nworkers: 0\n", want: []string{"agent.yml:2: workers: 0 is not"}},
		"refused, from a flag":    {text: "workers: 1\n", args: []string{"--workers=-1"}, want: []string{"flag --workers: workers: -1 is not"}},
		"two refused at once":     {text: "workers: 0\nformat: 1\n", want: []string{"agent.yml:1: workers: 0 is not", "agent.yml:2: format: 1 is not"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tt.text, tt.env, tt.args...)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestRefusedDefaultSaysWhereToSetIt(t *testing.T) {
	s := defaults()
	s.Inline.Workers = 0
	err := config.New(s).Load("", func(string) (string, bool) { return "", false })
	if err == nil || !strings.Contains(err.Error(), "FLOCKER_WORKERS or with --workers") {
		t.Errorf("got %v, want the ways to set it", err)
	}
}

func TestSomeSettingsAreTheFilesAlone(t *testing.T) {
	if got, err := load(t, "", map[string]string{"FLOCKER_FORMAT": "1", "": "1"}); err != nil || got.Format != 0 {
		t.Errorf("got %d and %v, want it unset", got.Format, err)
	}
}

func TestDurationsAreShownShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 45 * time.Second: "45s", time.Minute: "1m", 90 * time.Second: "1m30s", 10 * time.Hour: "10h",
		720 * time.Hour: "720h", time.Hour + time.Second: "1h0m1s", 70 * time.Minute: "1h10m", 100 * time.Second: "1m40s",
	} {
		s := defaults()
		s.Inline.Wait = d
		if got := config.Settings(s)[0].Value(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFlagOfATruthNeedsNoValue(t *testing.T) {
	got, err := load(t, "", nil, "--loud")
	if err != nil || !got.Loud {
		t.Errorf("got %v and %v, want true", got.Loud, err)
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	err := config.New(defaults()).Load("/nonexistent/agent.yml", os.LookupEnv)
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/agent.yml") {
		t.Errorf("got %v, want the file's name", err)
	}
}

func TestSettingsListsKeysVariablesFlagsAndValues(t *testing.T) {
	var got []string
	for _, s := range config.Settings(defaults()) {
		got = append(got, s.Key+" "+s.Env+" "+s.Flag+" "+s.Value())
	}
	want := []string{
		"wait-limit FLOCKER_WAIT wait-limit 45s",
		"workers FLOCKER_WORKERS workers 8",
		"name FLOCKER_NAME name ",
		"control-service.hostname FLOCKER_CONTROL_SERVICE_HOSTNAME control-service-hostname ",
		"control-service.port FLOCKER_CONTROL_SERVICE_PORT control-service-port 4524",
		"loud FLOCKER_LOUD loud false",
		"nets FLOCKER_NETS nets a,b",
		"sizes FLOCKER_SIZES sizes {x: y}",
		"level FLOCKER_LEVEL level info",
		"format   0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	f.Add("name: x\ncontrol-service: {port: 1}\n")
	f.Add("a: &a [*a]\n")
	f.Add("<<: &x {name: y}\n")
	f.Add("? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "f.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = config.New(defaults()).Load(file, func(string) (string, bool) { return "", false })
	})
}
