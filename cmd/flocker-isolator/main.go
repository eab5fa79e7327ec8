// Command flocker-isolator is started by Mesos. It acts by the name it is
// called by, because Mesos' command isolator takes a path without arguments:
//
//	flocker-isolator-prepare, -isolate, -cleanup IN OUT ERR   the isolator's calls
//	dvdcli mount|unmount|...                                  for Mesos' docker/volume isolator
//	flocker-isolator prepare|isolate|cleanup IN OUT ERR       the same as the first
//	flocker-isolator mount ...                                in a container's launch process
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
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

// version is set by the linker.
var version = "dev"

const usage = `usage: flocker-isolator prepare|isolate|cleanup INPUT OUTPUT ERROR
       flocker-isolator doctor [--modules FILE] [--mesos-agent-pid PID] [--marathon URL] [--socket PATH]
       flocker-isolator version
       flocker-isolator mount (called by itself)
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
}

func (p *program) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		return exitUsage
	}
	name, args, called := filepath.Base(args[0]), args[1:], args[0]
	p.socket = isolator.SocketPath(p.getenv, called)
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
	case "mount":
		return p.mount(ctx, args)
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
		Store:  func() (string, error) { return isolator.StoreProgram(time.Now()) },
		Socket: p.socket, Sandbox: p.getenv(isolator.SandboxVariable), Log: p.stderr,
	}
	switch command {
	case "prepare":
		return h.PrepareFiles(ctx, args[0], args[1], args[2])
	case "cleanup":
		h.CleanupFile(ctx, args[0])
	}
	return 0
}

// mount waits for the volumes of a container and mounts them. It prints no usage into
// a task's log: only this program calls it.
func (p *program) mount(ctx context.Context, args []string) int {
	m := isolator.Mounter{Log: p.stderr}
	flags := p.flags("mount")
	flags.StringVar(&m.Consumer, "consumer", "", "")
	flags.DurationVar(&m.Limit, "limit", 0, "")
	flags.Uint64Var(&m.Outside, "outside", 0, "")
	flags.StringVar(&m.Space.View, "view", "", "")
	directory := func(d *isolator.Directory) func(string) error {
		return func(text string) (err error) {
			*d, err = isolator.ParseDirectory(text)
			return err
		}
	}
	flags.Func("sandbox", "", directory(&m.Space.Sandbox))
	flags.Func("rootfs", "", directory(&m.Space.Rootfs))
	flags.Func("later", "", func(text string) (err error) {
		m.Later, err = isolator.ParseLater(text)
		return err
	})
	if flags.Parse(args) != nil {
		return exitUsage
	}
	for _, arg := range flags.Args() {
		t, err := isolator.ParseTarget(arg)
		if err != nil {
			return p.refuse(err)
		}
		m.Targets = append(m.Targets, t)
	}
	m.Client = &isolator.Client{Socket: p.socket}
	if err := m.Run(ctx); err != nil {
		return p.refuse(err)
	}
	return 0
}

// refuse ends a container whose task must not start.
func (p *program) refuse(err error) int {
	fmt.Fprintln(p.stderr, "flocker: the task can't start:", api.PrintableLines(err.Error()))
	return exitFailure
}

func (p *program) dvdcli(ctx context.Context, args []string) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(p.stderr, "flocker:", err)
		return exitFailure
	}
	d := isolator.DVDCLI{
		Client: &isolator.Client{Socket: p.socket}, Program: self, Version: version,
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
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(p.stderr, "flocker:", err)
		return exitFailure
	}
	d := isolator.Doctor{
		Socket: p.socket, Version: version, Program: self, ModulesFile: *modules, MesosPID: *pid, Marathon: *marathon, Proc: "/proc",
	}
	facts := d.Examine(ctx)
	findings := isolator.Judge(facts)
	fmt.Fprint(p.stdout, api.PrintableLines(isolator.FormatFindings(findings)))
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
