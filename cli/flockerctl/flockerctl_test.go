package flockerctl_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/controltest"
	"github.com/flocker-mesos/flocker/cli/flockerctl"
)

const (
	node1 = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"
	node2 = "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"
	gib   = 1 << 30
)

// original is an original Flocker with the datasets of the recording.
type original struct {
	*controltest.Service

	certs string
	env   map[string]string
}

func newOriginal(t *testing.T) *original {
	t.Helper()
	certs := controltest.Certificates(t)
	o := &original{Service: controltest.Start(t, certs, true), certs: certs}
	o.env = map[string]string{"FLOCKER_CERTS_PATH": certs, "FLOCKER_USER": controltest.User, "FLOCKER_CONTROL_SERVICE": o.Host}
	o.Answer("GET /v1/state/nodes", http.StatusOK, []client.NodeState{{ID: node2, Host: "192.0.2.11"}, {ID: node1, Host: "192.0.2.10"}})
	o.Answer("GET /v1/configuration/datasets", http.StatusOK, []client.Dataset{
		{ID: "dddddddd-0004-4000-8000-000000000004", Primary: node1, Deleted: true, MaximumSize: gib, Metadata: map[string]string{"name": "deleting"}},
		{ID: "bbbbbbbb-0002-4000-8000-000000000002", Primary: node1},
		{ID: "eeeeeeee-0005-4000-8000-000000000005", Primary: node1, Deleted: true, MaximumSize: gib, Metadata: map[string]string{"name": "gone"}},
		{ID: "ffffffff-0006-4000-8000-000000000006", Primary: "11111111-0000-4000-8000-000000000001", MaximumSize: 75 * gib, Metadata: map[string]string{"name": "missing-node"}},
		{ID: "cccccccc-0003-4000-8000-000000000003", Primary: node2, MaximumSize: gib, Metadata: map[string]string{"name": "detached"}},
		{ID: "aaaaaaaa-0001-4000-8000-000000000001", Primary: node1, MaximumSize: 10 * gib, Metadata: map[string]string{"size": "medium", "name": "apples"}},
	})
	o.Answer("GET /v1/state/datasets", http.StatusOK, []client.DatasetState{
		{ID: "dddddddd-0004-4000-8000-000000000004", Primary: node1, Path: "/flocker/d"},
		{ID: "cccccccc-0003-4000-8000-000000000003"},
		{ID: "aaaaaaaa-0001-4000-8000-000000000001"}, // and as mounted: on its way
		{ID: "aaaaaaaa-0001-4000-8000-000000000001", Primary: node1, Path: "/flocker/a"},
	})
	o.Answer("POST /v1/configuration/datasets", http.StatusCreated, client.Dataset{})
	o.Answer("POST /v1/configuration/datasets/bbbbbbbb-0002-4000-8000-000000000002", http.StatusOK, client.Dataset{})
	o.Answer("DELETE /v1/configuration/datasets/aaaaaaaa-0001-4000-8000-000000000001", http.StatusOK, client.Dataset{})
	return o
}

// run runs one command line as the program would.
func (o *original) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := flockerctl.Program{
		Name: "flockerctl",
		Locate: func(names string, port uint16) (client.Config, error) {
			return client.Config{Endpoints: strings.Split(names, ","), Port: strconv.Itoa(int(port))}, nil
		},
		AgentReplicas: func(file string) (string, error) {
			text, err := os.ReadFile(file)
			return strings.TrimSpace(string(text)), err
		},
		LookupEnv: func(name string) (string, bool) { v, ok := o.env[name]; return v, ok },
	}
	code = p.Run(t.Context(), append([]string{"--control-port", o.Port}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// recorded returns what the original printed for each command line, where it was
// given once.
func recorded(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/recording.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for entry := range strings.SplitSeq(string(text), "$ flockerctl ") {
		args, rest, _ := strings.Cut(entry, "\n")
		output, _, ok := strings.Cut(rest, "[rc=")
		if _, twice := all[args]; ok && !twice {
			all[args] = output
		}
	}
	return all
}

// rows sorts the rows of a table. Those of one that goes on in a second line stay
// together.
func rows(table string) string {
	head, body, _ := strings.Cut(table, "\n")
	var all []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "  ") && len(all) > 0 {
			all[len(all)-1] += line
			continue
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return head + "\n" + strings.Join(all, "")
}

func TestOutputIsTheOriginals(t *testing.T) {
	o := newOriginal(t)
	want := recorded(t)
	for _, args := range []string{"list-nodes", "list-nodes -l", "list", "list -d", "ls -l", "status"} {
		code, out, errs := o.run(t, strings.Fields(args)...)
		if code != 0 || errs != "" || want[args] == "" || rows(out) != rows(want[args]) {
			t.Errorf("flockerctl %s: got %d, %s\n%s\nwant\n%s", args, code, errs, out, want[args])
		}
		if !slices.IsSorted(firsts(out)) {
			t.Errorf("flockerctl %s: got rows in no order:\n%s", args, out)
		}
	}
	for _, args := range []string{
		"version", "create --node 4b2f --size 50Gb --metadata name=x,b=c", "destroy -d aaaa", "move -d bbbb -t 9c1d",
	} {
		if code, out, errs := o.run(t, strings.Fields(args)...); code != 0 || out != want[args] || errs != "" {
			t.Errorf("flockerctl %s: got %d, %q, %q, want %q", args, code, out, errs, want[args])
		}
	}
	for _, request := range []string{
		`"primary":"` + node1 + `","maximum_size":53687091200,"metadata":{"b":"c","name":"x"}}`,
		`DELETE /v1/configuration/datasets/aaaaaaaa-0001-4000-8000-000000000001`,
		`POST /v1/configuration/datasets/bbbbbbbb-0002-4000-8000-000000000002 {"primary":"` + node2 + `"}`,
	} {
		if !slices.ContainsFunc(o.Requests(), func(r string) bool { return strings.HasSuffix(r, request) }) {
			t.Errorf("got %q, want %q", o.Requests(), request)
		}
	}
}

// firsts returns the first words of the rows.
func firsts(table string) []string {
	var all []string
	for i, line := range strings.Split(table, "\n") {
		if i > 0 && line != "" && !strings.HasPrefix(line, " ") {
			all = append(all, strings.Fields(line)[0])
		}
	}
	return all
}

func TestMistakesEndWithTheOriginalsWordsAndAnExitCode(t *testing.T) {
	o := newOriginal(t)
	want := recorded(t)
	for args, with := range map[string]string{
		"create -s 1G": "", "create -n zzz": "", "create -n 4b2f -m bad": "", "destroy": "", "destroy -d nope": "", "move -d bbbb": "",
		"move -d bbbb --target 9c1d": "", "nosuch": "", "": "",
		"create -n 4b2f -s 1k":   `--size: "1k" is too small: the smallest size is 64MiB`,
		"move -t 9c1d":           "must specify --dataset",
		"move -d b -t":           "option -t requires argument",
		"list -x":                "option -x not recognized",
		"list --long=yes":        "option --long must not have an argument",
		"list too":               "Wrong number of arguments.",
		"--control-port x list":  `--control-port: "x" is not a port`,
		"--cluster-yml /no list": "--cluster-yml: ",
		"--user nobody list":     "nobody.crt",
		"--control-port 1 list":  "connection refused",
	} {
		if with == "" {
			with = want[args]
		}
		code, out, errs := o.run(t, strings.Fields(args)...)
		if code != 1 || out != "" || !strings.HasPrefix(errs, strings.TrimSuffix(with, "\n")) && !strings.Contains(errs, with) || with == "" {
			t.Errorf("flockerctl %s: got %d, %q, %q, want 1 and %q", args, code, out, errs, with)
		}
	}
}

func TestRefusalsAreNoSuccess(t *testing.T) {
	o := newOriginal(t)
	o.Answer("POST /v1/configuration/datasets", http.StatusBadRequest, map[string]any{
		"description": "The provided JSON doesn't match the required schema.", "errors": []string{"1024 is less than the minimum of 67108864"},
	})
	code, out, errs := o.run(t, "create", "-n", "4b2f")
	if code != 1 || out != "" || !strings.Contains(errs, "doesn't match the required schema. 1024 is less than the minimum") {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
	o.Answer("GET /v1/state/nodes", http.StatusOK, []client.NodeState{{ID: node1}, {ID: "4b2f0000-5d8f-4a4a-9a52-0d7ad9e0a111"}})
	if code, _, errs := o.run(t, "move", "-d", "b", "-t", "4b2f"); code != 1 || errs != "4b2f is ambiguous node\n" {
		t.Errorf("got %d, %q", code, errs)
	}
	o.Answer("GET /v1/configuration/datasets", http.StatusForbidden, api.Errorf(api.CodeForbidden, "not for you"))
	if code, _, errs := o.run(t, "list"); code != 1 || errs != "not for you\n" {
		t.Errorf("got %d, %q", code, errs)
	}
}

func TestHelpIsTheOriginals(t *testing.T) {
	o := newOriginal(t)
	all := recorded(t)
	for _, args := range []string{"--help", "create --help", "move --help"} {
		_, want, _ := strings.Cut(all[args], "\n")
		want = strings.ReplaceAll(strings.TrimRight(want, "\n"), "Display Twisted version", "Display version")
		code, out, errs := o.run(t, strings.Fields(args)...)
		_, got, _ := strings.Cut(out, "\n")
		if code != 0 || errs != "" || !strings.HasPrefix(got, want) {
			t.Errorf("flockerctl %s: got %d, %s%s\nwant %s", args, code, errs, out, want)
		}
	}
	for _, args := range []string{"destroy --help", "list --help", "ls --help", "list-nodes --help", "version --help", "--version", "list --version"} {
		if code, out, _ := o.run(t, strings.Fields(args)...); code != 0 || out == "" {
			t.Errorf("flockerctl %s: got %d, %q", args, code, out)
		}
	}
}

func TestOptionsMayBeShortened(t *testing.T) {
	o := newOriginal(t)
	for _, args := range []string{"move --dat bbbb --dest 9c1d", "move -dbbbb -t9c1d", "move --dataset=bbbb --destination=9C1D", "list -ld", "list --del"} {
		if code, _, errs := o.run(t, strings.Fields(args)...); code != 0 {
			t.Errorf("flockerctl %s: got %d, %q", args, code, errs)
		}
	}
	if code, _, errs := o.run(t, "move", "--d", "bbbb", "-t", "9c1d"); code != 1 || !strings.HasPrefix(errs, "option --d not a unique prefix") {
		t.Errorf("an option that can be two: got %d, %q", code, errs)
	}
}

func TestSettingsAreFoundWhereTheOriginalFindsThem(t *testing.T) {
	o := newOriginal(t)
	works := func(name string, args ...string) {
		t.Helper()
		if code, out, errs := o.run(t, append(args, "list-nodes")...); code != 0 || !strings.Contains(out, "192.0.2.10") {
			t.Errorf("%s: got %d, %q, %q", name, code, out, errs)
		}
	}
	o.env = map[string]string{}
	works("options", "--control-service", o.Host, "--certs-path", o.certs, "--user", controltest.User, "--cluster-crt", "cluster.crt")

	write := func(dir, file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(o.certs, "agent.yml", o.Host)
	t.Chdir(o.certs)
	works("agent.yml, here", "--user", controltest.User)
	write(o.certs, "cluster.yml", "users: ["+controltest.User+", other]\n")
	works("cluster.yml, here")
	t.Chdir(t.TempDir())
	works("cluster.yml, elsewhere", "--cluster-yml", filepath.Join(o.certs, "cluster.yml"))
	if code, _, errs := o.run(t, "list"); code != 1 || !strings.Contains(errs, "must specify --control-service") {
		t.Errorf("nothing: got %d, %q", code, errs)
	}
}

func TestColumnsShareWhatThereIs(t *testing.T) {
	o := newOriginal(t)
	long := strings.Repeat("x", 90)
	o.Answer("GET /v1/configuration/datasets", http.StatusOK, []client.Dataset{
		{ID: "bbbbbbbb-0002-4000-8000-000000000002", Primary: node1, Metadata: map[string]string{"name": long, "ü": "ß"}},
	})
	_, out, _ := o.run(t, "list")
	joined := strings.Join(strings.Fields(out), "")
	if !strings.Contains(joined, "xxxx") || strings.Count(out, "x") != 90 || !strings.Contains(out, "ü=ß") {
		t.Errorf("got\n%s\nwant all of the name", out)
	}
	for line := range strings.Lines(out) {
		if len(line) > 141 {
			t.Errorf("got %d bytes, want at most 140: %q", len(line)-1, line)
		}
	}
}
