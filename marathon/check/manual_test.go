package check_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/marathon/check"
)

var update = flag.Bool("update", false, "write the manual's table of rules anew")

// The table of rules is between these in the manual.
const (
	manual     = "../../docs/marathon.md"
	tableStart = "<!-- rules: go test ./marathon/check -run Manual -update -->\n"
	tableEnd   = "<!-- end of rules -->\n"
)

func TestManualHasAllRules(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, started := strings.Cut(string(text), tableStart)
	got, after, ended := strings.Cut(rest, tableEnd)
	if !started || !ended {
		t.Fatalf("%s: want %s and %s", manual, tableStart, tableEnd)
	}
	want := rulesTable()
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s: got\n%s\nwant\n%s\n-update writes it anew", manual, got, want)
	}
	if err := os.WriteFile(manual, []byte(before+tableStart+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rulesTable() string {
	var b strings.Builder
	b.WriteString("| rule | | what is found | why it matters | what to do |\n|---|---|---|---|---|\n")
	for _, r := range check.Rules() {
		fix := r.Fix
		if r.Mends {
			fix += " **(fix)**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Severity, r.Finds, r.Why, fix)
	}
	return b.String()
}

func TestExamplesAreRight(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("got %v, %v, want the examples", files, err)
	}
	var documents []*check.Document
	forms := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := check.Parse(file, text)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, d)
		forms[fmt.Sprint(len(check.Names([]*check.Document{d})) > 0, d.Definitions[0].Pod)] = true
	}
	if forms["false false"] || forms["false true"] {
		t.Error("an example asks for no volume")
	}
	for _, f := range check.Check(documents, &check.Context{}) {
		t.Errorf("%s:%d: %s: %s", f.Source, f.Line, f.Rule, f.What)
	}
}

// TestAppsOfTheManualsAreRight checks what people copy first.
func TestAppsOfTheManualsAreRight(t *testing.T) {
	apps := 0
	for _, file := range []string{"../../README.md", manual} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "```json\n")[1:] {
			app, _, _ := strings.Cut(block, "```")
			if !strings.Contains(app, `"flocker.volume.`) {
				continue
			}
			apps++
			for _, f := range check.Check([]*check.Document{parse(t, app)}, &check.Context{}) {
				t.Errorf("%s: line %d of %s: %s: %s", file, f.Line, f.App, f.Rule, f.What)
			}
		}
	}
	if apps != 2 {
		t.Errorf("got %d apps, want that of each", apps)
	}
}
