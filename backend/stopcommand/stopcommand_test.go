package stopcommand_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/backend/stopcommand"
)

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stop")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgramIsToldWhichMachine(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	c, err := stopcommand.New(script(t, `printf '%s' "$*" > `+told))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StopInstance(t.Context(), "i-123"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(told); err != nil || string(got) != "i-123" {
		t.Errorf("arguments: got %q, %v, want i-123", got, err)
	}
}

func TestFailureSaysWhatTheProgramSaid(t *testing.T) {
	c, err := stopcommand.New(script(t, "echo no such outlet >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.StopInstance(t.Context(), "i-123")
	if err == nil || !strings.Contains(err.Error(), "no such outlet") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want what the program said and its exit status", err)
	}
}

func TestWhatIsNoInstanceIsNotPassedOn(t *testing.T) {
	c, err := stopcommand.New(script(t, "exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "--all"} {
		if err := c.StopInstance(t.Context(), id); err == nil {
			t.Errorf("instance %q: got no error", id)
		}
	}
}

func TestWhatIsNoProgramIsRefused(t *testing.T) {
	for _, path := range []string{"stop", "/nowhere/stop", t.TempDir()} {
		if _, err := stopcommand.New(path); err == nil {
			t.Errorf("%s: got no error", path)
		}
	}
}
