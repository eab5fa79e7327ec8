// Package flockerctl is Flocker's own command line, which is also called
// flocker-volumes: its commands, options and texts. It speaks the API of any
// Flocker. What was wrong with it is not repeated: mistakes and refusals of the
// control service are errors, and rows have an order.
package flockerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// Program is what the program needs of the world around it.
type Program struct {
	Name string // that it is called by
	// Locate and AgentReplicas are as in cli.Env.
	Locate        func(replicas string, port uint16) (client.Config, error)
	AgentReplicas func(file string) (string, error)
	LookupEnv     func(name string) (string, bool)
}

// Exit codes.
const (
	exitOK = iota
	exitFailure
)

// command is one thing that can be asked for.
type command struct {
	flags *pflag.FlagSet
	help  string
	run   func(ctx context.Context, cl *client.Client, out io.Writer) error
	// alone says that no control service is needed.
	alone bool
}

// Run executes a command line and returns the exit code.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := p.run(ctx, args, stdout)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, strings.ReplaceAll(api.Printable(err.Error()), `\n`, "\n"))
	if _, ok := errors.AsType[*optionError](err); ok {
		fmt.Fprintln(stderr, "Try --help for usage details.")
	}
	return exitFailure
}

func (p Program) run(ctx context.Context, args []string, out io.Writer) error {
	s := settings{program: p}
	flags := s.flagSet()
	if err := parse(flags, args); err != nil {
		return err
	}
	switch {
	case given(flags, "help"):
		fmt.Fprintf(out, "Usage: %s [options]\n%s\n", p.Name, helpMain)
		return nil
	case given(flags, "version"):
		printVersion(out)
		return nil
	case flags.NArg() == 0:
		return &optionError{"Please specify a command."}
	}
	name, rest := flags.Arg(0), flags.Args()[1:]
	c, ok := commands()[name]
	if !ok {
		return &optionError{"Unknown command: " + name}
	}
	c.flags.SetInterspersed(true)
	if err := parse(c.flags, rest); err != nil {
		return err
	}
	switch {
	case given(c.flags, "help"):
		fmt.Fprintf(out, "Usage: %s [options] %s [options]\n%s\n", p.Name, name, c.help)
		return nil
	case given(c.flags, "version"):
		printVersion(out)
		return nil
	case c.flags.NArg() > 0:
		return &optionError{"Wrong number of arguments."}
	case c.alone:
		return c.run(ctx, nil, out)
	}
	cl, err := s.client(flags)
	if err != nil {
		return err
	}
	defer cl.Close()
	return c.run(ctx, cl, out)
}

// commands are all there are, by their names.
func commands() map[string]command {
	nodes, datasets := listNodes(), list()
	return map[string]command{
		"create": create(), "destroy": destroy(), "move": move(),
		"list": datasets, "ls": datasets, "list-nodes": nodes, "status": nodes,
		"version": {flags: newFlags(), help: helpVersion, alone: true, run: func(_ context.Context, _ *client.Client, out io.Writer) error {
			printVersion(out)
			return nil
		}},
	}
}

// printVersion prints what the original does: scripts take it for a sign that it
// is there.
func printVersion(out io.Writer) {
	fmt.Fprint(out, "flocker-volumes.py prototype version 0.0.1\nsee https://docs.clusterhq.com/en/latest/labs/\n\n")
}

func create() command {
	flags := newFlags()
	node := flags.StringP("node", "n", "", "")
	metadata := flags.StringP("metadata", "m", "", "")
	size := flags.StringP("size", "s", "", "")
	return command{flags: flags, help: helpCreate, run: func(ctx context.Context, cl *client.Client, out io.Writer) error {
		if *node == "" {
			return errors.New("must specify --node")
		}
		var req client.CreateRequest
		var err error
		if req.Metadata, err = parseMetadata(*metadata); err != nil {
			return err
		}
		if *size != "" {
			if req.MaximumSize, err = api.ParseSize(*size); err != nil {
				return fmt.Errorf("--size: %w", err)
			}
		}
		if req.Primary, err = findNode(ctx, cl, *node); err != nil {
			return err
		}
		if _, err := cl.Create(ctx, req, ""); err != nil {
			return err
		}
		fmt.Fprint(out, "created dataset in configuration, manually poll state with 'flocker-volumes list' to see it show up.\n\n")
		return nil
	}}
}

func destroy() command {
	flags := newFlags()
	dataset := flags.StringP("dataset", "d", "", "")
	return command{flags: flags, help: helpDestroy, run: func(ctx context.Context, cl *client.Client, out io.Writer) error {
		if *dataset == "" {
			return errors.New("must specify --dataset")
		}
		id, err := findDataset(ctx, cl, *dataset)
		if err != nil {
			return err
		}
		if _, err := cl.Delete(ctx, id, ""); err != nil {
			return err
		}
		fmt.Fprint(out, "marked dataset as deleted. poll list manually to see it disappear.\n\n")
		return nil
	}}
}

func move() command {
	flags := newFlags()
	dataset := flags.StringP("dataset", "d", "", "")
	destination := flags.StringP("destination", "t", "", "")
	return command{flags: flags, help: helpMove, run: func(ctx context.Context, cl *client.Client, out io.Writer) error {
		if *dataset == "" {
			return errors.New("must specify --dataset")
		}
		if *destination == "" {
			return errors.New("must specify --destination")
		}
		id, err := findDataset(ctx, cl, *dataset)
		if err != nil {
			return err
		}
		node, err := findNode(ctx, cl, *destination)
		if err != nil {
			return err
		}
		if _, err := cl.Move(ctx, id, node, ""); err != nil {
			return err
		}
		fmt.Fprint(out, "initiated move of dataset, please check state to observe it actually move.\n\n")
		return nil
	}}
}
