package contexts_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/cli/contexts"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "dir", "config.yml")
	f, err := contexts.Read(path)
	if err != nil || len(f.Contexts) != 0 {
		t.Fatalf("a file that does not exist: got %v, %v", f, err)
	}
	prod := &contexts.Context{
		ControlService: "a,b", ControlPort: "4523", CertsPath: "/c", User: "007", CAFile: "/ca", CertFile: "/cert", KeyFile: "/key",
	}
	if err := errors.Join(f.Set("prod", prod), f.Set("lab", &contexts.Context{User: "x: y"})); err != nil {
		t.Fatal(err)
	}
	if f.Current != "prod" {
		t.Errorf("current: got %q, want the first one", f.Current)
	}
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := contexts.Read(path)
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v, %v, want %+v", got, err, f)
	}
	if err := errors.Join(got.Use("lab"), got.Delete("lab")); err != nil || got.Current != "" {
		t.Errorf("got %v and current %q, want none after it was deleted", err, got.Current)
	}
	for key, want := range map[string]string{"user": "007", "key-file": "/key", "control-port": "4523"} {
		if text := *prod.Value(key); text != want {
			t.Errorf("%s: got %q, want %q", key, text, want)
		}
	}
	for _, key := range contexts.Keys() {
		if prod.Value(key) == nil || *prod.Value(key) == "" {
			t.Errorf("%s: got no value", key)
		}
	}
}

func TestFileIsItsOwnersAndLinksStay(t *testing.T) {
	path := write(t, "current: x\ncontexts: {x: {user: y}}\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.yml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, err := contexts.Read(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(link); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("got %v, %v, want a link still", info, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("got %v, %v, want the file alone", left, err)
	}
}

func TestMalformedFilesAreRefusedWithTheLine(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"no YAML":              {"contexts: [\n", "config.yml: yaml: line 1"},
		"two documents":        {"current: ''\n---\ncurrent: ''\n", "more than one YAML document"},
		"a list":               {"- x\n", "config.yml:1: the file: want settings in the form"},
		"an unknown key":       {"current: ''\ncontxts: {}\n", "config.yml:2: contxts: there is no such setting; there are: current, contexts"},
		"a context's":          {"contexts:\n  prod:\n    usr: x\n", "config.yml:3: usr: a context has no such setting; there are: control-service, control-port"},
		"a context twice":      {"contexts:\n  a: {}\n  a: {}\n", "config.yml:3: a: is there already, on line 2"},
		"no context":           {"contexts:\n  a: x\n", "config.yml:2: context a: want settings"},
		"a list for a text":    {"contexts:\n  a:\n    user: [x]\n", "config.yml:3: user: want one text"},
		"a bad port":           {"contexts:\n  a:\n    control-port: 70000\n", `config.yml:3: control-port: "70000" is not a port`},
		"an unknown one is it": {"current: b\ncontexts: {a: {}}\n", `config.yml: current: "b": there is no such context; there are: a`},
	} {
		_, err := contexts.Read(write(t, tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "contexts:\n", "contexts: {a: }\n"} {
		if _, err := contexts.Read(write(t, text)); err != nil {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestFileIsWhereUsersKeepTheirSettings(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"/f":                             {"FLOCKER_CONFIG": "/f", "XDG_CONFIG_HOME": "/x", "HOME": "/h"},
		"/x/flocker/config.yml":          {"XDG_CONFIG_HOME": "/x", "HOME": "/h"},
		"/h/.config/flocker/config.yml":  {"XDG_CONFIG_HOME": "x", "HOME": "/h"},
		"/h2/.config/flocker/config.yml": {"HOME": "/h2"},
	} {
		got, err := contexts.Path(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		if err != nil || got != want {
			t.Errorf("%v: got %q, %v, want %q", env, got, err, want)
		}
	}
	if _, err := contexts.Path(func(string) (string, bool) { return "", false }); err == nil {
		t.Error("got no error without a home")
	}
}

func FuzzReadNeverPanics(f *testing.F) {
	f.Add("current: a\ncontexts: {a: {user: b}}\n")
	f.Add("contexts: &a {a: *a}\n")
	f.Add("? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) { _, _ = contexts.Read(write(t, text)) })
}
