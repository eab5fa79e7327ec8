package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

// limit bounds the wait for one thing in a machine whose processor is emulated.
const limit = 45 * time.Second

// await waits until a condition holds.
func await(what string, holds func() bool) error {
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("%s: not within %s", what, limit)
		}
	}
	return nil
}

// story is what users do with a control service and an agent that systemd runs
// by the units of docs/systemd.
type story struct {
	report *bufio.Writer
	node   string
	ext4   string // dataset ids
	xfs    string
}

func playUnits() error {
	report, err := openReport()
	if err != nil {
		return err
	}
	defer report.Flush()
	node, err := os.ReadFile("/etc/flocker/node-id")
	if err != nil {
		return err
	}
	s := &story{report: report, node: strings.TrimSpace(string(node))}
	for _, step := range []struct {
		name string
		play func() (string, error)
	}{
		{"units run", s.run},
		{"restrictions hold", s.restricted},
		{"create ext4", func() (_ string, err error) { s.ext4, err = s.create("orders", "ext4"); return "", err }},
		{"create xfs", func() (_ string, err error) { s.xfs, err = s.create("logs", "xfs"); return "", err }},
		{"mounts reach the host", s.mounted},
		{"grow ext4 of another user", func() (string, error) { return s.grow("orders", s.ext4) }},
		{"grow xfs of another user", func() (string, error) { return s.grow("logs", s.xfs) }},
		{"agent restarts under volumes in use", s.restart},
		{"check ext4 that was not unmounted", s.check},
		{"name the process that uses a volume", s.busy},
		{"destroy", s.destroy},
	} {
		said, err := step.play()
		line := "ok: " + step.name
		if err != nil {
			line = "FAILED: " + step.name + ": " + err.Error()
		}
		if said != "" {
			line += ": " + said
		}
		fmt.Fprintln(report, strings.ReplaceAll(line, "\n", " | "))
		if err := report.Flush(); err != nil {
			return err
		}
		if err != nil {
			logs, _ := command("/usr/bin/tail", "-n", "8", "/run/flocker-control.service.log", "/run/flocker-agent.service.log")
			fmt.Fprintln(report, logs)
			return nil // the report has it
		}
	}
	fmt.Fprintln(report, "end")
	return nil
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

func flocker(args ...string) (string, error) {
	return command("/usr/local/bin/flocker", append(args, "--control-service", "127.0.0.1", "--certs-path", "/root/.flocker", "--user", "alice")...)
}

func (s *story) run() (string, error) {
	err := await("the agent is connected", func() bool {
		out, err := flocker("nodes", "list", "-o", "json")
		return err == nil && strings.Contains(out, s.node)
	})
	if err != nil {
		out, _ := command("/usr/bin/systemctl", "status", "flocker-control", "flocker-agent")
		return out, err
	}
	return "", nil
}

// restricted looks in /proc whether both processes are restricted as their
// units say.
func (s *story) restricted() (string, error) {
	var said []string
	for _, unit := range []string{"flocker-control", "flocker-agent"} {
		pid, err := command("/usr/bin/systemctl", "show", "-P", "MainPID", unit)
		if err != nil {
			return "", err
		}
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return "", err
		}
		own, err := os.Readlink("/proc/" + pid + "/ns/mnt")
		if err != nil {
			return "", err
		}
		host, err := os.Readlink("/proc/1/ns/mnt")
		if err != nil {
			return "", err
		}
		facts := []string{unit, fmt.Sprintf("own mount namespace %t", own != host)}
		for line := range strings.Lines(string(status)) {
			if name, value, ok := strings.Cut(line, ":"); ok {
				switch name {
				case "Uid", "CapBnd", "NoNewPrivs", "Seccomp":
					facts = append(facts, name+" "+strings.Fields(value)[0])
				}
			}
		}
		said = append(said, strings.Join(facts, ", "))
	}
	return strings.Join(said, "; "), nil
}

// create has a consumer ask for a new volume, as the hook and the launch process
// do, and returns the id of the dataset. The volume belongs to another user, who
// lets no one else in.
func (s *story) create(name, fs string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	consumer, agent := "story-"+name, &isolator.Client{Socket: api.DefaultSocket}
	volume := api.VolumeRequest{Key: name, Path: "data", Name: name, Size: 320 << 20, FS: fs, User: "1000:1000", Permissions: "0700"}
	var reply *api.LocalReply
	var err error
	if lost := await("the agent answers", func() bool {
		reply, err = agent.Acquire(ctx, api.AcquireRequest{Consumer: consumer, Kind: "mesos", Role: "db", Volumes: []api.VolumeRequest{volume}})
		_, away := errors.AsType[*isolator.UnreachableError](err)
		return !away
	}); lost != nil {
		return "", errors.Join(lost, err)
	}
	if err != nil {
		return "", err
	}
	trees, err := agent.AwaitTrees(ctx, consumer, func(string) {})
	if err != nil {
		return "", err
	}
	trees.Close()
	id := string(reply.Mounts[0].DatasetID)
	info, err := os.Stat(mountPoint(id))
	if err != nil {
		return "", err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 1000 || info.Mode().Perm() != 0o700 { //nolint:forcetypeassert // on Linux it is one
		return "", fmt.Errorf("the volume is of user %d, mode %s", owner, info.Mode())
	}
	return id, nil
}

func release(name string) error {
	return (&isolator.Client{Socket: api.DefaultSocket}).Release(context.Background(), "story-"+name)
}

func mountPoint(id string) string { return "/flocker/" + id }

func (s *story) mounted() (string, error) {
	for _, id := range []string{s.ext4, s.xfs} {
		if !isMounted(mountPoint(id)) {
			return "", fmt.Errorf("%s is not in the mount table of the host", mountPoint(id))
		}
	}
	return "", nil
}

func isMounted(target string) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(table), " "+target+" ")
}

func fileSystemSize(target string) uint64 {
	var fs unix.Statfs_t
	if unix.Statfs(target, &fs) != nil {
		return 0
	}
	return fs.Blocks * uint64(fs.Bsize)
}

// grow has a volume grow whose root lets only its user in.
func (s *story) grow(name, id string) (string, error) {
	before := fileSystemSize(mountPoint(id))
	if _, err := flocker("volumes", "grow", name, "400MiB", "--wait=60s"); err != nil {
		return "", err
	}
	if after := fileSystemSize(mountPoint(id)); after <= before {
		return "", fmt.Errorf("the file system had %d bytes, and has %d", before, after)
	}
	return "", nil
}

func (s *story) restart() (string, error) {
	file, err := os.Create(filepath.Join(mountPoint(s.ext4), "file"))
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := command("/usr/bin/systemctl", "kill", "--signal=KILL", "flocker-agent"); err != nil {
		return "", err
	}
	_, err = s.create("after-restart", "ext4")
	return "", err
}

// check has the agent find an ext4 as a power cut leaves it, so that it runs
// e2fsck.
func (s *story) check() (string, error) {
	if _, err := command("/usr/bin/systemctl", "stop", "flocker-agent"); err != nil {
		return "", err
	}
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	device := ""
	var targets []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[1], mountPoint(s.ext4)) {
			device = fields[0]
			targets = append(targets, fields[1])
		}
	}
	for _, target := range slices.Backward(targets) {
		if err := unix.Unmount(target, 0); err != nil {
			return "", fmt.Errorf("unmount %s: %w", target, err)
		}
	}
	if err := makeUnclean(device); err != nil {
		return "", fmt.Errorf("make %s unclean: %w", device, err)
	}
	if _, err := command("/usr/bin/systemctl", "start", "flocker-agent"); err != nil {
		return "", err
	}
	if err := await("the volume is mounted again", func() bool { return isMounted(mountPoint(s.ext4)) }); err != nil {
		out, _ := flocker("volumes", "show", "orders")
		return out, err
	}
	return "", nil
}

// makeUnclean takes the mark of an orderly unmount from an ext4.
func makeUnclean(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	sb := make([]byte, 1024)
	if _, err := f.ReadAt(sb, 1024); err != nil {
		return err
	}
	binary.LittleEndian.PutUint16(sb[0x3a:], 0)
	binary.LittleEndian.PutUint32(sb[0x3fc:], ^crc32.Checksum(sb[:0x3fc], crc32.MakeTable(crc32.Castagnoli)))
	_, err = f.WriteAt(sb, 1024)
	return errors.Join(err, f.Sync())
}

// busy has a process of another user keep a volume that is to be destroyed.
func (s *story) busy() (string, error) {
	used, err := os.Open(mountPoint(s.xfs))
	if err != nil {
		return "", err
	}
	defer used.Close()
	holder := exec.Command("/usr/local/bin/guest-holder")
	holder.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	holder.ExtraFiles = []*os.File{used}
	if _, err := holder.StdinPipe(); err != nil {
		return "", err
	}
	if err := holder.Start(); err != nil {
		return "", err
	}
	if err := used.Close(); err != nil {
		return "", err
	}
	if err := release("logs"); err != nil {
		return "", err
	}
	if _, err := flocker("volumes", "destroy", "logs", "-y"); err != nil {
		return "", err
	}
	said := ""
	err = await("the process is named", func() bool {
		said, _ = flocker("volumes", "show", s.xfs)
		return strings.Contains(said, "guest-holder")
	})
	if err != nil {
		return said, err
	}
	if err := holder.Process.Kill(); err != nil {
		return "", err
	}
	_ = holder.Wait()
	return "", nil
}

func (s *story) destroy() (string, error) {
	if err := release("orders"); err != nil {
		return "", err
	}
	if _, err := flocker("volumes", "destroy", "orders", "-y", "--wait=60s"); err != nil {
		return "", err
	}
	for _, id := range []string{s.ext4, s.xfs} {
		if err := await(id+" is gone", func() bool { return !isMounted(mountPoint(id)) }); err != nil {
			return "", err
		}
	}
	return "", nil
}
