package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
)

// devOptions are the flags of flocker dev.
type devOptions struct {
	dir       string
	restPort  uint16
	agentPort uint16
	mesos     string
	library   string
	remove    bool
}

// defaultLibrary is where the command modules of Mesos usually are.
const defaultLibrary = "/usr/lib/mesos/modules/libmesos_command_modules.so"

func newDev() *cobra.Command {
	var (
		o   devOptions
		ask confirm.Prompt
	)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a control service and an agent on this machine, to try it all out",
		Long: "Runs a control service and an agent on this machine, with certificates of their own and all\n" +
			"state below one directory, and says how Mesos, the command line and curl call them. Volumes are\n" +
			"files below that directory. What containers use stays mounted when it ends; started again in the\n" +
			"same directory, it goes on where it was.",
		Args: usage.Takes(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("loop devices and mounts need root: run this as root")
			}
			if o.remove {
				if _, err := os.Stat(filepath.Join(o.dir, devMark)); errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s is no directory of flocker dev, and nothing was removed: name it with --dir", o.dir)
				}
			}
			d, err := openDevDir(o.dir)
			if err != nil {
				return err
			}
			defer d.close()
			if o.remove {
				loss := fmt.Sprintf("This destroys all volumes below %s and their data, and cannot be undone.", d.root)
				if err := sure(cmd, &ask, loss); err != nil {
					return err
				}
				return d.remove(cmd.OutOrStdout())
			}
			return runDev(cmd.Context(), d, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.dir, "dir", "flocker-dev", "directory of everything")
	flags.Uint16Var(&o.restPort, "rest-port", defaultRESTPort, "port for users, on 127.0.0.1")
	flags.Uint16Var(&o.agentPort, "agent-port", defaultAgentPort, "port for the agent, on 127.0.0.1")
	flags.StringVar(&o.mesos, "mesos-agent", "", "URL of this machine's Mesos agent, if there is one")
	flags.StringVar(&o.library, "modules-library", defaultLibrary, "the command modules of Mesos, for modules.json")
	flags.BoolVar(&o.remove, "remove", false, "unmount everything, destroy all volumes in the directory, and remove it")
	ask.AddFlag(flags)
	return cmd
}

// runDev runs everything until ctx ends.
func runDev(ctx context.Context, d *devDir, o devOptions, stdout, stderr io.Writer) error {
	log := logSettings{Format: logText}.logger(stderr)
	if err := d.prepare(o.library); err != nil {
		return err
	}
	service, err := d.openControl(o, log)
	if err != nil {
		return err
	}
	settings, err := d.agentSettings(o, service.AgentAddr())
	if err != nil {
		return errors.Join(err, service.Close())
	}
	if err := d.guide(stdout, service.UserAddr()); err != nil {
		return errors.Join(err, service.Close())
	}
	// The agent ends first, so that its last words reach the control service.
	controlCtx, stopControl := context.WithCancel(context.WithoutCancel(ctx))
	defer stopControl()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := service.Run(controlCtx); err != nil {
			return fmt.Errorf("control service: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer stopControl()
		run, err := openAgent(ctx, settings, d.certs(), log)
		if err == nil {
			err = run(ctx)
		}
		if err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	d.farewell(stdout)
	return nil
}

func (d *devDir) openControl(o devOptions, log *slog.Logger) (*control.Service, error) {
	settings := defaultControlSettings()
	settings.Control.Listen = loopbackAddress(o.restPort)
	settings.Control.AgentListen = loopbackAddress(o.agentPort)
	settings.Control.Certificates = d.certs()
	settings.Control.Store = "file:" + d.path("control")
	service, err := openControl(context.Background(), settings, nil, log.With("part", "control"))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w; --rest-port and --agent-port take others", err)
	}
	return service, err
}

func loopbackAddress(port uint16) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// agentSettings are an agent's whose state is below the directory.
func (d *devDir) agentSettings(o devOptions, control net.Addr) (*agentSettings, error) {
	address, ok := control.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("the control service listens on %s, which is no TCP address", control)
	}
	s := defaultAgentSettings()
	s.Control = controlAddress{Hostname: replicas{address.IP.String()}, Port: uint16(address.Port)}
	s.Dataset.RootPath = d.path("storage")
	s.Agent.StateDir = d.path("agent")
	s.Agent.RunDir = d.path("run")
	s.Agent.MountRoot = d.path("volumes")
	s.Agent.Socket = d.path("mesos", "agent.sock")
	s.Mesos.Agent = o.mesos
	return s, s.Validate()
}
