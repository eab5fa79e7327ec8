// Command flocker-isolator is started by Mesos. It acts by the name it is
// called by, because Mesos' command isolator takes a path without arguments:
//
//	flocker-isolator-prepare, -isolate, -cleanup IN OUT ERR   the isolator's calls
//	dvdcli mount|unmount|...                                  for Mesos' docker/volume isolator
//	flocker-isolator prepare|isolate|cleanup IN OUT ERR       the same as the first
//	flocker-isolator wait ...                                 in a container's launch process
//	flocker-isolator doctor                                   finds what is wrong on this machine
//	flocker-isolator version
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

// version is set by the linker.
var version = "dev"

const usage = `usage: flocker-isolator prepare|isolate|cleanup INPUT OUTPUT ERROR
       flocker-isolator doctor [--modules FILE] [--mesos-agent-pid PID] [--marathon URL] [--socket PATH]
       flocker-isolator version
       flocker-isolator wait (called by itself)
`

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	p := program{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(context.Background(), os.Args))
}

type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	socket         string
	self           string // absolute path of the executable
}

func (p *program) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		return exitUsage
	}
	name, args, called := filepath.Base(args[0]), args[1:], args[0]
	p.socket = isolator.SocketPath(p.getenv, called)
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(p.stderr, "flocker:", err)
		return exitFailure
	}
	p.self = self
	if name == "dvdcli" {
		return p.dvdcli(ctx, args)
	}
	command, ok := strings.CutPrefix(name, "flocker-isolator-")
	if !ok {
		if len(args) == 0 {
			fmt.Fprint(p.stderr, usage)
			return exitUsage
		}
		command, args = args[0], args[1:]
	}
	switch command {
	case "prepare", "isolate", "cleanup":
		return p.hook(ctx, command, args)
	case "wait":
		return p.wait(ctx, args)
	case "dvdcli":
		return p.dvdcli(ctx, args)
	case "doctor":
		return p.doctor(ctx, args)
	case "version":
		fmt.Fprintf(p.stdout, "flocker-isolator %s\n", version)
		return 0
	default:
		fmt.Fprint(p.stderr, usage)
		return exitUsage
	}
}

func (p *program) hook(ctx context.Context, command string, args []string) int {
	if len(args) != 3 {
		fmt.Fprint(p.stderr, usage)
		return exitUsage
	}
	h := isolator.Hook{
		Program: p.self, Socket: p.socket, Sandbox: p.getenv(isolator.SandboxVariable), Log: p.stderr,
	}
	switch command {
	case "prepare":
		return h.PrepareFiles(ctx, args[0], args[1], args[2])
	case "cleanup":
		h.CleanupFile(ctx, args[0])
	}
	return 0
}

// wait never prints its usage into a task's log at length: only this program
// calls it.
func (p *program) wait(ctx context.Context, args []string) int {
	flags := p.flags("wait")
	consumer := flags.String("consumer", "", "")
	limit := flags.Duration("limit", 0, "")
	container := flags.String("labels", "", "")
	parent := flags.String("parent", "", "")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	client := &isolator.Client{Socket: p.socket}
	var err error
	if *container != "" {
		w := isolator.LabelWaiter{Client: client, Container: *container, Parent: *parent, Limit: *limit, Log: p.stderr}
		err = w.Wait(ctx)
	} else {
		w := isolator.Waiter{
			Client: client, Consumer: *consumer, Limit: *limit, Log: p.stderr, Targets: make(map[string]string),
		}
		for _, arg := range flags.Args() {
			key, target, _ := strings.Cut(arg, "=")
			w.Targets[key] = target
		}
		err = w.Wait(ctx)
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "flocker: the task can't start:", err)
		return exitFailure
	}
	return 0
}

func (p *program) dvdcli(ctx context.Context, args []string) int {
	d := isolator.DVDCLI{
		Client: &isolator.Client{Socket: p.socket}, Program: p.self, Version: version,
		Real: p.getenv(isolator.DVDCLIVariable), Stdout: p.stdout, Stderr: p.stderr,
	}
	return d.Run(ctx, args)
}

func (p *program) doctor(ctx context.Context, args []string) int {
	flags := p.flags("doctor")
	modules := flags.String("modules", "", "the Mesos agent's `file` of modules; by default what its flags say")
	pid := flags.Int("mesos-agent-pid", 0, "the Mesos agent's process `id`; by default it is looked for")
	marathon := flags.String("marathon", "", "`URL` of Marathon, whose timeout is looked up; it may have a user and a password in it")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	d := isolator.Doctor{
		Socket: p.socket, Version: version, Program: p.self, ModulesFile: *modules, MesosPID: *pid, Marathon: *marathon, Proc: "/proc",
	}
	facts := d.Examine(ctx)
	findings := isolator.Judge(facts)
	fmt.Fprint(p.stdout, isolator.FormatFindings(findings))
	if times := isolator.FormatTimes(facts.Agent); times != "" {
		fmt.Fprint(p.stdout, "\n"+times)
	}
	if isolator.Failed(findings) {
		return exitFailure
	}
	return 0
}

// flags returns a flag set that knows the agent's socket.
func (p *program) flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet("flocker-isolator "+name, flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	flags.StringVar(&p.socket, "socket", p.socket, "the agent's socket, instead of "+api.DefaultSocket)
	return flags
}
