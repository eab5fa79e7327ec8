package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// program is one to be run.
type program struct {
	name     string
	args     []string
	env      []string   // the whole environment beside a PATH and the plain locale
	files    []*os.File // from file descriptor 3 on
	accepted int        // the highest exit code that is no error
}

// run runs the program until it ends, or kills it when ctx ends. What it wrote
// is in the error.
func (p program) run(ctx context.Context) error {
	_, err := p.output(ctx)
	return err
}

// output is run and returns the start of what the program wrote. The program
// inherits no environment and no working directory: neither may decide what a
// file system is like.
func (p program) output(ctx context.Context) (string, error) {
	path, err := findProgram(p.name)
	if err != nil {
		return "", err
	}
	// Output to a file in memory: no goroutine has to copy it, and the program
	// never blocks on it.
	output, err := newMemoryFile("output of " + p.name)
	if err != nil {
		return "", err
	}
	defer output.Close()
	cmd := exec.CommandContext(ctx, path, p.args...)
	cmd.Env = append([]string{"PATH=" + strings.Join(programDirs, ":"), "LC_ALL=C"}, p.env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = p.files
	err = cmd.Run()
	text := make([]byte, 4096)
	n, _ := output.ReadAt(text, 0)
	said := strings.Join(strings.Fields(string(text[:n])), " ")
	if err == nil {
		return said, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return said, fmt.Errorf("%s was stopped: %w", p.name, cause)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() && exit.ExitCode() <= p.accepted {
		return said, nil
	}
	return said, fmt.Errorf("%s: %w: %s", p.name, err, said)
}

// newMemoryFile makes a file without a name in memory.
func newMemoryFile(what string) (*os.File, error) {
	fd, err := unix.MemfdCreate(what, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 knows no such flag; later ones may insist on it
		fd, err = unix.MemfdCreate(what, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in memory for the %s: %w", what, err)
	}
	return os.NewFile(uintptr(fd), what), nil
}

// programDirs are where programs are, whatever PATH the agent has.
var programDirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"}

func findProgram(name string) (string, error) {
	for _, dir := range programDirs {
		path := filepath.Join(dir, name)
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w (looked in %s)", name, exec.ErrNotFound, strings.Join(programDirs, ", "))
}
