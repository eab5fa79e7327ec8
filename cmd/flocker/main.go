// Command flocker is the control service, the agent, the certificate authority
// and the command line of Flocker in one static binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/flockerctl"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// Exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage // the command line itself is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end, a second one ends at once.
	context.AfterFunc(ctx, stop)
	code := runAs(ctx, filepath.Base(os.Args[0]), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// runAs executes one command line of the program that this one is called as:
// Flocker's own programs are links to it.
func runAs(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	switch name {
	case "flockerctl", "flocker-volumes":
		program := flockerctl.Program{Name: name, Locate: locateForUsers, AgentReplicas: replicasOfAgent, LookupEnv: os.LookupEnv}
		return program.Run(ctx, args, stdout, stderr)
	case "flocker-ca":
		return execute(ctx, newFlockerCA(), args, stdout, stderr)
	}
	return run(ctx, args, stdout, stderr)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return execute(ctx, newRoot(), cli.Args(args), stdout, stderr)
}

func execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "Error:", api.PrintableLines(err.Error()))
	if _, ok := errors.AsType[*usage.Error](err); ok {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}
