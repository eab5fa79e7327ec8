package confirm_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// terminal is a terminal at which a person types a line.
func terminal(t *testing.T, line string) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if _, err := master.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
	return slave
}

func TestSure(t *testing.T) {
	for name, tt := range map[string]struct {
		in      func(*testing.T) io.Reader
		yes     bool
		refused bool
		asked   bool
	}{
		"a terminal, yes":       {in: func(t *testing.T) io.Reader { return terminal(t, "yes") }, asked: true},
		"a terminal, no":        {in: func(t *testing.T) io.Reader { return terminal(t, "no") }, refused: true, asked: true},
		"a terminal, nothing":   {in: func(t *testing.T) io.Reader { return terminal(t, "") }, refused: true, asked: true},
		"a terminal, y":         {in: func(t *testing.T) io.Reader { return terminal(t, "y") }, refused: true, asked: true},
		"a terminal with --yes": {in: func(t *testing.T) io.Reader { return terminal(t, "no") }, yes: true},
		"a pipe that says yes":  {in: func(*testing.T) io.Reader { return strings.NewReader("yes\n") }, refused: true},
		"a script":              {in: func(*testing.T) io.Reader { return strings.NewReader("") }, refused: true},
		"a script with --yes":   {in: func(*testing.T) io.Reader { return strings.NewReader("") }, yes: true},
		"no standard input":     {in: func(*testing.T) io.Reader { return nil }, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			var errs bytes.Buffer
			p := confirm.Prompt{Yes: tt.yes, In: tt.in(t), Err: &errs}
			err := p.Sure("This destroys:\n  db\x1b[31m, 1GiB\n")
			if (err != nil) != tt.refused {
				t.Fatalf("got %v, want a refusal: %v", err, tt.refused)
			}
			if asked := strings.HasSuffix(errs.String(), "Type yes to go on: "); asked != tt.asked {
				t.Errorf("got %q, want a question: %v", errs.String(), tt.asked)
			}
			if strings.Contains(errs.String(), "\x1b") {
				t.Errorf("got %q, want no control characters", errs.String())
			}
			_, isUsage := errors.AsType[*usage.Error](err)
			switch {
			case !tt.refused:
			case tt.asked && !errors.Is(err, confirm.ErrRefused):
				t.Errorf("got %v, want %v", err, confirm.ErrRefused)
			case !tt.asked && (!isUsage || !strings.Contains(err.Error(), "db") || !strings.Contains(err.Error(), "--yes")):
				t.Errorf("got %v, want what would be lost, and --yes", err)
			}
		})
	}
}
