package fault_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// build builds the program that passes by points, with faults.
func build(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "passes")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", path, "./testdata/passes").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return path
}

func pass(t *testing.T, program string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestFaultsHappenWhereTheyArePlanned(t *testing.T) {
	program := build(t)
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
			if out, err := pass(t, program, "FLOCKER_FAULT="+plan); err != nil || !strings.Contains(out, want) {
				t.Errorf("got %v %s, want %q", err, out, want)
			}
		})
	}
	t.Run("kill", func(t *testing.T) {
		out, err := pass(t, program, "FLOCKER_FAULT=two")
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || !strings.Contains(out, "fault: kill at two") {
			t.Errorf("got %v %s, want it killed at two", err, out)
		}
	})
}

func TestClockIsWrongByWhatAFileSays(t *testing.T) {
	program := build(t)
	file := filepath.Join(t.TempDir(), "clock")
	for text, want := range map[string]string{
		"":      "ahead: false behind: false",
		"25h\n": "ahead: true behind: false",
		"-25h":  "ahead: false behind: true",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := pass(t, program, "FLOCKER_CLOCK_FILE="+file); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: got %v %s, want %q", text, err, out, want)
		}
	}
	if out, err := pass(t, program, "FLOCKER_CLOCK_FILE=/nonexistent"); err != nil || !strings.Contains(out, "ahead: false behind: false") {
		t.Errorf("no file: got %v %s", err, out)
	}
}
