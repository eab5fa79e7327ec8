//go:build faults

package fault_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/fault"
)

// TestHelperThatPasses is another process of this program, which passes by two
// points and shows what it sees.
func TestHelperThatPasses(t *testing.T) {
	if os.Getenv("FLOCKER_TEST_HELPER") == "" {
		t.Skip("it only helps another test")
	}
	begin := time.Now()
	fault.Point("one")
	if time.Since(begin) >= 100*time.Millisecond {
		t.Log("one was slow")
	}
	fault.Point("two")
	t.Log("errors are", fault.Err("one"), fault.Err("two"))
	t.Log("the clock is ahead:", fault.Now().After(time.Now().Add(time.Hour)), "behind:", fault.Now().Before(time.Now().Add(-time.Hour)))
}

func pass(t *testing.T, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHelperThatPasses$", "-test.v")
	cmd.Env = append(append(os.Environ(), "FLOCKER_TEST_HELPER=1"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestFaultsHappenWhereTheyArePlanned(t *testing.T) {
	for plan, want := range map[string]string{
		"":                  "errors are <nil> <nil>",
		"three":             "errors are <nil> <nil>",
		"two:error":         "errors are <nil> fault injected at two",
		"one:delay=100ms":   "one was slow",
		"*:delay=100ms,1":   "one was slow",
		"*#2:delay=1ms,0.5": "errors are <nil> <nil>",
		"one:delay=1000h,0": "errors are <nil> <nil>",
		"two#2:delay=1000h": "errors are <nil> <nil>",
	} {
		t.Run(plan, func(t *testing.T) {
			if out, err := pass(t, "FLOCKER_FAULT="+plan); err != nil || !strings.Contains(out, want) {
				t.Errorf("got %v %s, want %q", err, out, want)
			}
		})
	}
	t.Run("kill", func(t *testing.T) {
		out, err := pass(t, "FLOCKER_FAULT=two")
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || !strings.Contains(out, "fault: kill at two") {
			t.Errorf("got %v %s, want it killed at two", err, out)
		}
	})
}

func TestClockIsWrongByWhatAFileSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	for text, want := range map[string]string{
		"":      "ahead: false behind: false",
		"25h\n": "ahead: true behind: false",
		"-25h":  "ahead: false behind: true",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := pass(t, "FLOCKER_CLOCK_FILE="+file); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: got %v %s, want %q", text, err, out, want)
		}
	}
	if out, err := pass(t, "FLOCKER_CLOCK_FILE=/nonexistent"); err != nil || !strings.Contains(out, "ahead: false behind: false") {
		t.Errorf("no file: got %v %s", err, out)
	}
}
