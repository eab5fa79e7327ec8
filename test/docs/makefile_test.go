package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bareMachine is a PATH with a shell's tools and nothing that the project needs, but for
// a Go of a version, "" for none.
func bareMachine(t *testing.T, goVersion string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"sh", "sed", "sort", "head", "printf", "id", "tr", "awk", "cat"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
	if goVersion != "" {
		script := "#!/bin/sh\necho go version go" + goVersion + " linux/amd64\n"
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMakeSaysWhatIsMissingBeforeAnythingFails(t *testing.T) {
	program, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		target, version string
		want            []string
	}{
		"no Go":        {"demo", "", []string{"Go 1.", "is needed, and there is no go on the PATH. Get it at https://go.dev/dl/"}},
		"an old Go":    {"test", "1.19.8", []string{"or newer is needed, and ", "is 1.19.8. Get it at https://go.dev/dl/"}},
		"no packages":  {"needs-test", "", []string{"Install them as root with: apt-get install", " curl ", " gcc ", " openssl ", " qemu-system-x86 "}},
		"a newer Go":   {"go", "99.1.0", nil},
		"a long ago's": {"build", "1.4", []string{"is 1.4."}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, "-C", "../..", tt.target)
			cmd.Env = []string{"PATH=" + bareMachine(t, tt.version)}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (tt.want == nil) {
				t.Errorf("got %v\n%s", err, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("got\n%s\nwant %q in it", out, want)
				}
			}
			if n := strings.Count(string(out), "apt-get install"); n > 1 {
				t.Errorf("got %d messages about packages:\n%s", n, out)
			}
		})
	}
}
