package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	module = "../.."
	page   = module + "/docs/security.md"
)

// reference is how the page names a test: `host/mount_test.go: TestMount`.
var reference = regexp.MustCompile("`([a-z0-9_/.-]+_test\\.go): ((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// TestSecurityPageNamesTestsThatExist looks for every test that stands behind a
// claim, and for one behind every claim.
func TestSecurityPageNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for number, line := range strings.Split(string(text), "\n") {
		references := reference.FindAllStringSubmatch(line, -1)
		found += len(references)
		for _, r := range references {
			file, err := os.ReadFile(filepath.Join(module, r[1]))
			if err != nil {
				t.Errorf("line %d: %v", number+1, err)
			} else if !strings.Contains(string(file), "\nfunc "+r[2]+"(") {
				t.Errorf("line %d: %s has no %s", number+1, r[1], r[2])
			}
		}
		if strings.HasPrefix(line, "| cannot") && len(references) == 0 {
			t.Errorf("line %d: no test is named: %s", number+1, line)
		}
		if strings.Contains(line, "_test.go") && len(references) == 0 {
			t.Errorf("line %d: a test is not named as `path/file_test.go: TestName`: %s", number+1, line)
		}
	}
	if found < 20 {
		t.Errorf("found %d tests on the page; its form has changed", found)
	}
}

// TestSecurityPageIsLinked has README.md lead to the page, and the page to
// files that exist.
func TestSecurityPageIsLinked(t *testing.T) {
	readme, err := os.ReadFile(module + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "(docs/security.md)") {
		t.Error("README.md does not link docs/security.md")
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
			t.Errorf("broken link: %v", err)
		}
	}
}
