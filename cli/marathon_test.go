package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/marathon/check"
	marathon "github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

const (
	shop = "testdata/marathon/shop.json"
	good = "testdata/marathon/good.json"
)

func TestFindingsFitWhereTheyGo(t *testing.T) {
	c := newCluster(t)
	for where, screen := range screens() {
		c.screen = screen
		out, errs, err := c.run(t, "marathon", "check", shop, good)
		if err == nil || err.Error() != "found 4 errors, 4 warnings, 1 note" || errs != "" {
			t.Errorf("%s: got %v, %q", where, err, errs)
		}
		golden(t, "marathon-check."+where, out)
	}
	c.screen = output.Screen{}
	for _, format := range []string{"json", "yaml", "name", "wide"} {
		out, _, err := c.run(t, "marathon", "check", shop, good, "-o", format)
		if err == nil {
			t.Errorf("%s: got no error", format)
		}
		golden(t, "marathon-check."+format, out)
	}
	if out, _, err := c.run(t, "marathon", "check", good); err != nil || out != "1 definition checked: nothing found.\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, _, err := c.run(t, "marathon", "check", good, "-o", "json"); err != nil || out != "[]\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestWarningsFailTheCheckWhereTheyAreToldTo(t *testing.T) {
	c := newCluster(t)
	const app = `{"id": "/x", "labels": {"flocker.volume.x": "x"}, "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}`
	c.in = strings.NewReader(app)
	if out, _, err := c.run(t, "marathon", "check", "-"); err != nil || !strings.Contains(out, "standard input:1:24 /x /labels") {
		t.Errorf("got %q, %v", out, err)
	}
	c.in = strings.NewReader(app)
	if _, _, err := c.run(t, "marathon", "check", "-", "--strict"); err == nil || err.Error() != "found 1 warning" {
		t.Errorf("got %v", err)
	}
}

func TestCheckSaysThatItHasNotAskedTheControlService(t *testing.T) {
	c := newCluster(t)
	c.env["FLOCKER_CONTROL_PORT"] = "1"
	says := func(want string) {
		t.Helper()
		out, errs, err := c.run(t, "marathon", "check", good)
		if err != nil || !strings.HasPrefix(errs, "The control service was not asked which of the volumes exist") || !strings.Contains(errs, want) ||
			out != "1 definition checked: nothing found.\n" {
			t.Errorf("got %q, %q, %v, want %q", out, errs, err, want)
		}
	}
	says("connection refused")
	delete(c.env, "FLOCKER_CONTROL_SERVICE")
	says("none is named with --control-service, FLOCKER_CONTROL_SERVICE or a context")
}

func TestCheckKnowsWhetherMarathonIsFollowed(t *testing.T) {
	c := newCluster(t)
	app := `{"id": "/x", "instances": 2, "labels": {"flocker.volume.x": "path=x,each=true"}, "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}}`
	for want, view := range map[string]api.MarathonView{
		"/x each-unknown\n": {}, "": {Marathon: &api.MarathonStatus{}},
	} {
		c.Answer("GET /v1/marathon/apps", http.StatusOK, view)
		c.in = strings.NewReader(app)
		out, errs, err := c.run(t, "marathon", "check", "-", "-o", "name")
		if out != want || errs != "" || (err == nil) != (want == "") {
			t.Errorf("got %q, %q, %v, want %q", out, errs, err, want)
		}
	}
}

// marathons plays what a Marathon answers.
func marathons(t *testing.T, apps string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/service/v2/apps":
			fmt.Fprintf(w, `{"apps": [%s]}`, apps)
		case "/service/v2/pods":
			fmt.Fprint(w, `[]`)
		case "/service/v2/info":
			fmt.Fprint(w, `{"marathon_config": {"features": ["vips"], "task_launch_timeout": 30000}}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/service"
}

func TestCheckLooksAtWhatRuns(t *testing.T) {
	c := newCluster(t)
	runs := `{"id": "/a", "instances": 1, "labels": {"flocker.volume.i": "path=i,name=prod.search.index"}, "upgradeStrategy":
		{"minimumHealthCapacity": 1, "maximumOverCapacity": 1}, "container": {"type": "MESOS", "volumes": [{"containerPath": "x", "mode": "RW",
		"external": {"provider": "dvdi", "name": "x", "options": {"dvdi/driver": "flocker"}}}]}}`
	url := marathons(t, runs)
	out, _, err := c.run(t, "marathon", "check", "--all", "--marathon", "http://127.0.0.1:1,"+url, "-o", "json")
	if err == nil || err.Error() != "found 2 errors, 2 warnings" {
		t.Errorf("got %v, %s", err, out)
	}
	var findings []check.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(findings))
	for _, f := range findings {
		got = append(got, f.App+" "+f.Rule)
		if f.Line != 0 || f.Source != "" || f.Rule == "upgrade-strategy" && f.Patch[0].Path != "/upgradeStrategy" {
			t.Errorf("got %+v, want no place in a file", f)
		}
	}
	want := []string{" launch-timeout", "/a upgrade-strategy", "/a external-feature", "/a single-instance"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A file is compared with what runs.
	c.env["FLOCKER_MARATHON"] = url
	out, _, err = c.run(t, "marathon", "check", good, "-o", "name")
	if err == nil || out != " launch-timeout\n/prod/search dataset-shared\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestCheckIsKnownToMarathon(t *testing.T) {
	c := newCluster(t)
	m := double.Start(t, double.Options{User: "alice", Password: "secret"})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	as := []string{"--marathon", m.URLs()[0], "--marathon-user", "alice", "--marathon-password-file", file}
	creator, err := marathon.New(marathon.Config{URLs: m.URLs(), User: "alice", PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer creator.Close()
	for name, create := range map[string]func(context.Context, any) error{
		`{"id": "/db", "cmd": "true", "labels": {"flocker.volume.d": "d"}}`:                                                       creator.CreateApp,
		`{"id": "/pod", "containers": [{"name": "a", "resources": {"cpus": 1, "mem": 32}, "labels": {"flocker.volume.d": "d"}}]}`: creator.CreatePod,
	} {
		if err := create(t.Context(), json.RawMessage(name)); err != nil {
			t.Fatal(err)
		}
	}
	out, _, err := c.run(t, append([]string{"marathon", "check", "--all", "-o", "name"}, as...)...)
	if err == nil || out != "/db upgrade-strategy\n/db single-instance\n/pod upgrade-strategy\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, _, err := c.run(t, "marathon", "check", "--all", "--marathon", m.URLs()[0]); err == nil || !strings.Contains(err.Error(), "answers 401") {
		t.Errorf("got %v", err)
	}
}

func TestCheckTellsWhyItCannotReadMarathon(t *testing.T) {
	c := newCluster(t)
	for args, want := range map[string]string{
		"--all":                                 `which Marathon? Name it with --marathon or FLOCKER_MARATHON`,
		"":                                      `flocker marathon check: want files, - for the standard input, or --all`,
		"--all --marathon http://127.0.0.1:1 x": `use one of both`,
		"--all --marathon 127.0.0.1":            `--marathon: "127.0.0.1" is not a URL such as http://10.0.0.11:8080`,
		"--all --marathon http://127.0.0.1:1":   `connection refused`,
		"nowhere.json":                          `open nowhere.json: no such file or directory`,
		"marathon_test.go":                      `marathon_test.go:1:1: this is not JSON: invalid character 'p' looking for beginning of value`,
	} {
		_, _, err := c.run(t, append([]string{"marathon", "check"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
	url := marathons(t, `7`)
	if _, _, err := c.run(t, "marathon", "check", "--all", "--marathon", url); err == nil || !strings.Contains(err.Error(), "read what Marathon runs: want an app") {
		t.Errorf("got %v", err)
	}
	if _, _, err := c.run(t, "marathon", "check", "--all", "--marathon", url+"/else"); err == nil || !strings.Contains(err.Error(), "answers 404") {
		t.Errorf("got %v", err)
	}
}

func TestFixPrintsWritesAndCompares(t *testing.T) {
	c := newCluster(t)
	out, errs, err := c.run(t, "marathon", "fix", shop)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "marathon-fix", out)
	golden(t, "marathon-fix.stderr", errs)
	diff, _, err := c.run(t, "marathon", "fix", shop, "--diff")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "marathon-fix.diff", diff)
	text, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	c.in = strings.NewReader(string(text))
	if again, _, err := c.run(t, "marathon", "fix", "-"); err != nil || again != out {
		t.Errorf("got %v, %s", err, again)
	}
	// Through a link, with the file's permissions.
	dir := t.TempDir()
	file, link := filepath.Join(dir, "shop.json"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, text, 0o640), os.Symlink("shop.json", link)); err != nil {
		t.Fatal(err)
	}
	if printed, _, err := c.run(t, "marathon", "fix", link, "--write"); err != nil || printed != "" {
		t.Errorf("got %q, %v", printed, err)
	}
	written, err := os.ReadFile(file)
	if err != nil || string(written) != out {
		t.Errorf("got %v, %s", err, written)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("got %v, %v, want nothing left behind", files, err)
	}
}

func TestFixRefusesWhatMakesNoSense(t *testing.T) {
	c := newCluster(t)
	for args, want := range map[string]struct {
		text  string
		usage bool
	}{
		"":                       {"expected one file, or - for the standard input, got 0", true},
		"- --write":              {"--write changes the file", true},
		shop + " --write --diff": {"--write changes the file", true},
		"nowhere.json":           {"no such file", false},
		"-":                      {"standard input:1:1: this is not JSON: unexpected end of JSON input", false},
	} {
		_, _, err := c.run(t, append([]string{"marathon", "fix"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: got %v, want %s", args, err, want.text)
			continue
		}
		if _, got := errors.AsType[*usage.Error](err); got != want.usage {
			t.Errorf("%s: a mistake of the command line: got %v", args, got)
		}
	}
}

func TestCheckHoldsConstraintsAgainstTheZoneOfTheVolume(t *testing.T) {
	c := newCluster(t)
	app := func(constraints string) string {
		return `{"id": "/prod/orders-db", "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true", "flocker.volume.data": "data"}` + constraints +
			`, "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}`
	}
	for constraints, want := range map[string]string{
		`, "constraints": [["@zone", "IS", "rack-1"]]`: "",
		`, "constraints": [["@zone", "IS", "rack-2"]]`: "error /constraints/0 prod.orders-db.data is in zone rack-1, and the app may not run there: @zone IS rack-2",
		``: "warning /constraints prod.orders-db.data is in zone rack-1, and the app may run in others",
	} {
		c.in = strings.NewReader(app(constraints))
		out, _, err := c.run(t, "marathon", "check", "-", "-o", "json")
		var findings []check.Finding
		if jsonErr := json.Unmarshal([]byte(out), &findings); jsonErr != nil {
			t.Fatal(jsonErr, err)
		}
		got := ""
		for _, f := range findings {
			got += fmt.Sprintf("%s %s %s", f.Severity, f.Path, f.What)
		}
		if got != want || (err != nil) != strings.HasPrefix(want, "error") {
			t.Errorf("%s: got %q, %v, want %q", constraints, got, err, want)
		}
	}
	c.in = strings.NewReader(app(``))
	out, errs, err := c.run(t, "marathon", "fix", "-")
	if err != nil || !strings.Contains(out, `"constraints": [["@zone", "IS", "rack-1"]]`) || !strings.Contains(errs, "fixed /prod/orders-db /constraints (zone)") {
		t.Errorf("got %s, %s, %v", out, errs, err)
	}
	// Without a control service, only what needs no answer from it is fixed.
	c.env["FLOCKER_CONTROL_PORT"] = "1"
	c.in = strings.NewReader(app(``))
	out, errs, err = c.run(t, "marathon", "fix", "-")
	if err != nil || out != app(``) || !strings.HasPrefix(errs, "The control service was not asked") {
		t.Errorf("got %s, %s, %v", out, errs, err)
	}
}
