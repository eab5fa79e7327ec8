package isolator

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// TestWhatTasksAndFrameworksAreToldObeysNothing has a label's text in a line of the
// Mesos agent's log, and in the error that the framework is told.
func TestWhatTasksAndFrameworksAreToldObeysNothing(t *testing.T) {
	const hostile = "a\x1b[2J\u009bb\u202e\nINFO all is well"
	var log bytes.Buffer
	h := &Hook{Log: &log}
	h.logf("volume %s", hostile)
	line, rest, _ := strings.Cut(log.String(), "\n")
	if rest != "" || api.CheckText("", line) != nil {
		t.Errorf("the line is %q", log.String())
	}
	dir := t.TempDir()
	input, answer := filepath.Join(dir, "in"), filepath.Join(dir, "error")
	config := `{"container_config": {"labels": [{"key": "flocker.volume.data", "value": "path=data,` + "a\u009b\u202eb" + `=x"}]}}`
	if err := os.WriteFile(input, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := h.PrepareFiles(t.Context(), input, filepath.Join(dir, "out"), answer); code == 0 {
		t.Error("a hostile label is taken")
	}
	text, err := os.ReadFile(answer)
	if err != nil || len(text) < 2 || api.CheckText("", strings.TrimSpace(string(text))) != nil {
		t.Errorf("the framework is told %q, %v", text, err)
	}
}
