package isolator

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// programName is what the program calls itself where it starts itself.
const programName = "flocker-isolator"

// How long the calls of Mesos' isolator ask the agent. The agent answers within
// milliseconds; Mesos waits for a call, and so does every other container of
// this machine, for 30 s unless its configuration says otherwise. The launch process
// repeats a request that is not answered in time, with acquireLimit for each attempt.
const (
	acquireTimeout = 2 * time.Second
	acquireLimit   = 5 * time.Second
	labelsTimeout  = 2 * time.Second
	releaseTimeout = 2 * time.Second
)

// Hook answers the calls of Mesos' command isolator.
type Hook struct {
	Store   func() (string, error) // StoreProgram
	Socket  string                 // of the agent
	Sandbox string                 // where containers with an image see their sandbox
	Log     io.Writer
}

// SandboxVariable has Mesos' --sandbox_directory where the Mesos agent was told
// by its environment, which its isolators share.
const SandboxVariable = "MESOS_SANDBOX_DIRECTORY"

func (h *Hook) client() *Client { return &Client{Socket: h.Socket} }

func (h *Hook) logf(format string, args ...any) {
	fmt.Fprintln(h.Log, "flocker:", oneLine(fmt.Sprintf(format, args...)))
}

// PrepareFiles is the call prepare: it reads the input file and writes either
// the output file or, with what the framework is told, the error file. It
// returns the exit code.
func (h *Hook) PrepareFiles(ctx context.Context, input, output, errors string) int {
	answer, err := h.prepareFile(ctx, input)
	if err == nil {
		err = writeOutput(output, answer)
	}
	if err == nil {
		return 0
	}
	if writeErr := os.WriteFile(errors, []byte(api.PrintableLines(err.Error())+"\n"), 0o600); writeErr != nil {
		h.logf("%v (and %v)", err, writeErr)
	}
	return 1
}

func (h *Hook) prepareFile(ctx context.Context, input string) ([]byte, error) {
	data, err := os.ReadFile(input)
	if err != nil {
		return nil, fmt.Errorf("read container config: %w", err)
	}
	in, err := ParseInput(data)
	if err != nil {
		return nil, err
	}
	info, err := h.Prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	return info.Encode()
}

// writeOutput fills the file that Mesos has made. Mesos reads it only after a
// success, so that a half-written one is never taken for an answer; it is
// emptied all the same.
func writeOutput(path string, answer []byte) error {
	if len(answer) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write launch info: %w", err)
	}
	_, err = f.Write(answer)
	if err != nil {
		_ = f.Truncate(0)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write launch info: %w", err)
	}
	return nil
}

// CleanupFile is the call cleanup. It never fails: a failed cleanup is not
// repeated, but ends the tasks of a pod as failed and shows as an error of the
// Mesos agent. What it could not tell, the agent's reconciler finds out.
func (h *Hook) CleanupFile(ctx context.Context, input string) {
	data, err := os.ReadFile(input)
	if err != nil {
		h.logf("cleanup: read container config: %v", err)
		return
	}
	in, err := ParseInput(data)
	if err != nil {
		h.logf("cleanup: %v", err)
		return
	}
	if err := h.Cleanup(ctx, in); err != nil {
		h.logf("cleanup of container %s: %v; the agent will find out by itself that the container has ended",
			in.ContainerID, err)
	}
}
