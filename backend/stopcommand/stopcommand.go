// Package stopcommand stops machines by a program of the operator's: for
// storage systems that know no machines, such as files on a shared file system.
// What Pacemaker calls a fence agent does, as does a call to a power switch.
package stopcommand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/backend"
)

// timeout bounds one run of the program.
const timeout = 2 * time.Minute

// maxOutput is how much of what the program says goes into an error, in bytes.
const maxOutput = 1 << 10

// Command calls a program.
type Command struct{ path string }

var _ backend.Stopper = (*Command)(nil)

// New returns a Stopper that runs the program at an absolute path.
func New(path string) (*Command, error) {
	if err := Check(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("stop command: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("stop command: %s is not a program", path)
	}
	return &Command{path: path}, nil
}

// Check reports why a path cannot be a program's.
func Check(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not the absolute path of a program", path)
	}
	return nil
}

// StopInstance runs the program with the instance's id as its only argument.
// Exit status 0 is its word that the machine is off.
func (c *Command) StopInstance(ctx context.Context, instanceID string) error {
	if instanceID == "" || strings.HasPrefix(instanceID, "-") {
		return fmt.Errorf("stop command: %q is no instance to stop", instanceID)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, instanceID)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return fmt.Errorf("run %s %s: %w: %s", c.path, instanceID, err, strings.TrimSpace(string(out[:min(len(out), maxOutput)])))
}
