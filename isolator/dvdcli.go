package isolator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// DVDCLIVariable names the real dvdcli in the environment, for volume drivers
// other than ours.
const DVDCLIVariable = "FLOCKER_DVDCLI"

const (
	// dvdcliLimit is how long a mount waits: Mesos kills it after 120 s, and
	// then nobody would hear the reason.
	dvdcliLimit = 110 * time.Second

	// dvdcliPatience is how long an unmount waits for an agent that is away. Mesos kills
	// it after ten minutes, and repeats a failed one only when it is restarted itself.
	dvdcliPatience = 9 * time.Minute

	// dvdcliSay is how often the reason of a wait is repeated.
	dvdcliSay = 10 * time.Second

	// dvdcliLook is how long path and get look at a volume.
	dvdcliLook = 2 * time.Second
)

// DVDCLI stands in for the program of that name: a client of Docker volume
// drivers, called by Mesos' docker/volume isolator as
//
//	dvdcli mount --volumedriver=flocker --volumename=NAME [--volumeopts=K=V ...]
//	dvdcli unmount --volumedriver=flocker --volumename=NAME
//
// Mesos mounts a volume once for each container but unmounts it only once, with
// the last, so the agent has one consumer for all of them.
type DVDCLI struct {
	Client  *Client
	Program string // absolute path of this program
	Version string
	Real    string // the real dvdcli, "" where there is none
	Stdout  io.Writer
	Stderr  io.Writer
	Exec    func(path string, args, env []string) error // syscall.Exec

	limit    time.Duration
	patience time.Duration
}

const dvdcliUsage = `usage: dvdcli mount|unmount|path|get|list|create|remove|version
         --volumedriver=flocker --volumename=NAME [--volumeopts=KEY=VALUE ...]`

// Run carries out a command line without the program's name and returns the
// exit code.
func (d *DVDCLI) Run(ctx context.Context, args []string) int {
	call, err := parseDVDCLI(args)
	if err == nil && call.command != "version" && call.driver != api.DVDIDriver {
		err = d.execReal(call.driver, args)
	} else if err == nil {
		err = d.run(ctx, call)
	}
	if err != nil {
		fmt.Fprintln(d.Stderr, "dvdcli:", oneLine(err.Error()))
		return 1
	}
	return 0
}

// dvdcliCall is a parsed command line.
type dvdcliCall struct {
	command        string
	driver, volume string
	options        []string
	explicitCreate bool
}

// parseDVDCLI reads flags as the original does, --name=value or --name value,
// but splits neither at commas nor at a second '=': Mesos passes one option a
// flag, whose value may have both.
func parseDVDCLI(args []string) (dvdcliCall, error) {
	var call dvdcliCall
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			if call.command != "" || strings.HasPrefix(args[i], "-") {
				return call, fmt.Errorf("unexpected argument %q\n%s", args[i], dvdcliUsage)
			}
			call.command = args[i]
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		if name == "explicitcreate" {
			call.explicitCreate = value != "false"
			continue
		}
		if !hasValue {
			if i++; i == len(args) {
				return call, fmt.Errorf("--%s needs a value\n%s", name, dvdcliUsage)
			}
			value = args[i]
		}
		switch name {
		case "volumedriver":
			call.driver = value
		case "volumename":
			call.volume = value
		case "volumeopts":
			call.options = append(call.options, value)
		default:
			return call, fmt.Errorf("unknown flag --%s\n%s", name, dvdcliUsage)
		}
	}
	return call, call.check()
}

func (c *dvdcliCall) check() error {
	commands := []string{"mount", "unmount", "path", "get", "list", "create", "remove", "version"}
	switch {
	case c.command == "":
		return errors.New(dvdcliUsage)
	case !slices.Contains(commands, c.command):
		return fmt.Errorf("unknown command %q\n%s", c.command, dvdcliUsage)
	case c.command == "version":
	case c.driver == "":
		return errors.New("--volumedriver is missing: it is flocker for volumes of Flocker")
	case c.driver == api.DVDIDriver && c.volume == "" && c.command != "list":
		return errors.New("--volumename is missing")
	}
	return nil
}

func (d *DVDCLI) run(ctx context.Context, call dvdcliCall) error {
	switch call.command {
	case "mount":
		return d.mount(ctx, call)
	case "unmount":
		return d.release(ctx, dvdcliConsumer(call.volume))
	case "path", "get":
		return d.look(ctx, call)
	case "list":
		return d.list(ctx)
	case "create":
		return d.create(ctx, call)
	case "remove":
		return fmt.Errorf("volume %s is not removed: dvdcli never deletes data; \"flocker volumes destroy %s\" does",
			call.volume, call.volume)
	default:
		fmt.Fprintf(d.Stdout, "flocker dvdcli %s\n", d.Version)
		return nil
	}
}

// dvdcliConsumer is the consumer of a volume that all containers of this
// machine share.
func dvdcliConsumer(volume string) string { return "dvdcli:" + volume }

func (d *DVDCLI) mount(ctx context.Context, call dvdcliCall) error {
	if call.explicitCreate {
		return fmt.Errorf("--explicitcreate is not possible: volume %s is created when it is first mounted", call.volume)
	}
	m, err := d.bring(ctx, dvdcliConsumer(call.volume), call)
	if err != nil {
		return err
	}
	// The Mesos agent, whose child this is, will bind what it sees here.
	if err := checkSource(m); err != nil {
		return err
	}
	fmt.Fprintln(d.Stdout, m.Source)
	return nil
}

// checkSource makes sure that the Mesos agent, in whose mount namespace this
// runs, sees what it will be told to mount. Otherwise the framework would only
// hear "Executor terminated", or the task would get an empty directory.
func checkSource(m api.Mount) error {
	var st syscall.Stat_t
	if err := syscall.Stat(m.Source, &st); err != nil {
		return fmt.Errorf("volume %s: the Mesos agent does not see the flocker agent's mount point: stat %s: %w; "+
			"\"flocker-isolator doctor\" tells more", m.Name, m.Source, err)
	}
	if m.Ready && st.Dev != m.Device {
		return fmt.Errorf("volume %s is mounted at %s, but the Mesos agent does not see it: mounts of the host must "+
			"reach its mount namespace; \"flocker-isolator doctor\" tells more", m.Name, m.Source)
	}
	return nil
}

// create brings a volume here once, which creates it.
func (d *DVDCLI) create(ctx context.Context, call dvdcliCall) error {
	consumer := "dvdcli-create:" + call.volume
	_, err := d.bring(ctx, consumer, call)
	if releaseErr := d.release(ctx, consumer); err == nil {
		err = releaseErr
	}
	return err
}

// bring acquires a volume and waits until it is mounted.
func (d *DVDCLI) bring(ctx context.Context, consumer string, call dvdcliCall) (api.Mount, error) {
	limit := cmp.Or(d.limit, dvdcliLimit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	volume, notes, err := api.ParseDVDOptions("--volumeopts", call.volume, call.options)
	if err != nil {
		return api.Mount{}, err
	}
	for _, note := range notes {
		fmt.Fprintln(d.Stderr, "dvdcli:", oneLine(note))
	}
	volume.Key = "dvdcli"
	req := api.AcquireRequest{Consumer: consumer, Kind: api.ConsumerDVDCLI, Volumes: []api.VolumeRequest{volume}}
	say := d.speaker()
	if _, err = d.Client.acquire(ctx, say, limit, req); err != nil {
		return api.Mount{}, fmt.Errorf("volume %s: %w", call.volume, err)
	}
	var reason error // the agent's, when its limit has passed, which is shorter than ours
	for {
		mounts, err := awaitAgain(ctx, say, limit, func(ctx context.Context, say func(string)) ([]api.Mount, error) {
			return d.Client.Await(ctx, consumer, func(sentence string) {
				why, _, _ := strings.Cut(sentence, agentsLimit)
				say(fmt.Sprintf("%s%s%s at the most.", why, agentsLimit, limit))
			})
		})
		switch {
		case api.CodeOf(err) == api.CodeUnavailable && sleep(ctx, time.Second) == nil:
			reason = err
		case err != nil:
			if ctx.Err() != nil && reason != nil {
				err = fmt.Errorf("waited for %s: %w", limit, reason)
			}
			return api.Mount{}, fmt.Errorf("volume %s: %w", call.volume, err)
		case len(mounts) != 1 || !mounts[0].Ready:
			return api.Mount{}, fmt.Errorf("the agent answered without a mount for volume %s", call.volume)
		default:
			return mounts[0], nil
		}
	}
}

// release fails when the agent does not hear it: Mesos keeps the record of a
// failed unmount and tries again when it restarts, and nobody else would.
func (d *DVDCLI) release(ctx context.Context, consumer string) error {
	patience := cmp.Or(d.patience, dvdcliPatience)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := persist(ctx, d.speaker(), acquirePause, patience, func(ctx context.Context) (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, acquireLimit)
		defer cancel()
		return struct{}{}, d.Client.Release(ctx, consumer)
	})
	return err
}

// agentsLimit begins the part of the agent's sentences that names the agent's limit.
const agentsLimit = " Waiting, for "

func (d *DVDCLI) speaker() *speaker {
	return &speaker{log: d.Stderr, prefix: "dvdcli:", again: dvdcliSay}
}

// look prints where a volume is mounted through dvdcli.
func (d *DVDCLI) look(ctx context.Context, call dvdcliCall) error {
	ctx, cancel := context.WithTimeout(ctx, dvdcliLook)
	defer cancel()
	progress := ""
	mounts, err := d.Client.Await(ctx, dvdcliConsumer(call.volume), func(s string) { progress = s; cancel() })
	switch {
	case progress != "":
		return fmt.Errorf("volume %s is not mounted yet: %s", call.volume, progress)
	case err != nil:
		return err
	case len(mounts) != 1 || !mounts[0].Ready:
		return fmt.Errorf("volume %s is not mounted", call.volume)
	case call.command == "get":
		fmt.Fprintf(d.Stdout, "%s %s\n", mounts[0].Name, mounts[0].Source)
	default:
		fmt.Fprintln(d.Stdout, mounts[0].Source)
	}
	return nil
}

// list prints the volumes of this machine.
func (d *DVDCLI) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dvdcliLook)
	defer cancel()
	status, err := d.Client.Status(ctx)
	if err != nil {
		return err
	}
	for _, m := range status.Mounts {
		fmt.Fprintf(d.Stdout, "%s %s\n", m.Name, m.Source)
	}
	return nil
}

// execReal becomes the real dvdcli, for the volumes of another driver.
func (d *DVDCLI) execReal(driver string, args []string) error {
	if d.Real == "" {
		return fmt.Errorf("volume driver %q is not flocker's: name its dvdcli in the Mesos agent's environment, "+
			"%s=/path/of/dvdcli", driver, DVDCLIVariable)
	}
	if resolved, err := filepath.EvalSymlinks(d.Real); err == nil && resolved == d.Program {
		return fmt.Errorf("%s=%s is this program itself: name the dvdcli of volume driver %q", DVDCLIVariable, d.Real, driver)
	}
	exec := d.Exec
	if exec == nil {
		exec = syscall.Exec
	}
	if err := exec(d.Real, append([]string{"dvdcli"}, args...), os.Environ()); err != nil {
		return fmt.Errorf("run %s for volume driver %q: %w", d.Real, driver, err)
	}
	return nil
}
