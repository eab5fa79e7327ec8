package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Host is one machine of a lab.
type Host struct {
	Name    string
	Address string // its IP address on the switch
	Dir     string // what the lab keeps of the host: its root directory, its logs
	// Instance is what the loopback backend calls the host, its name unless
	// set. Loop devices of an instance go when the host's power is cut.
	Instance string

	lab  *Lab
	port string // of the switch

	mu      sync.Mutex
	thread  *thread
	init    *exec.Cmd // the host's process 1, nil while it is off
	bootID  string
	daemons []*Process
}

// Host makes a machine and starts it. Its name is its host name.
func (l *Lab) Host(ctx context.Context, name string) (*Host, error) {
	l.mu.Lock()
	number := len(l.hosts) + 1
	h := &Host{
		Name:     name,
		Address:  fmt.Sprintf("%s%d", network, number),
		Dir:      filepath.Join(l.Dir, "hosts", name),
		Instance: name,
		lab:      l,
		port:     fmt.Sprintf("port%d", number),
	}
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()

	if err := h.install(); err != nil {
		return nil, fmt.Errorf("install host %s: %w", name, err)
	}
	if err := h.boot(ctx); err != nil {
		return nil, fmt.Errorf("boot host %s: %w", name, err)
	}
	return h, nil
}

// Path returns where the lab finds what the host calls path. Only the host
// itself sees what is mounted there.
func (h *Host) Path(path string) string { return filepath.Join(h.root(), path) }

// Cgroups returns where the lab finds what the host has at /sys/fs/cgroup.
func (h *Host) Cgroups() string { return h.Path(cgroups) }

// BootID returns the host's boot id, as /proc/sys/kernel/random/boot_id shows it.
func (h *Host) BootID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bootID
}

// process1 returns the id of the host's process 1, as this process sees it.
func (h *Host) process1() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.thread == nil || h.init == nil || h.init.Process == nil {
		return 0, errGone
	}
	return h.init.Process.Pid, nil
}

// Do runs fn on a thread in the host's namespaces: it sees the host's files,
// mounts and network. Calls run one after another, so fn should be short.
func (h *Host) Do(fn func() error) error {
	h.mu.Lock()
	t := h.thread
	h.mu.Unlock()
	if t == nil {
		return errGone
	}
	return t.do(fn)
}

// Dial connects to an IP address from the host. It has the signature that
// http.Transport wants.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	t, err := h.enter()
	if err != nil {
		return nil, err
	}
	defer t.end()
	err = t.do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens on an IP address of the host.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	var failure error
	// A port that was just given up stays taken for a moment if a process is
	// being started at that very time: it has the socket until its exec.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := Until(ctx, address+" can be listened on", func() error {
		failure = h.Do(func() error {
			var err error
			l, err = net.Listen(network, address)
			return err
		})
		if errors.Is(failure, unix.EADDRINUSE) {
			return failure
		}
		return nil
	})
	return l, errors.Join(err, failure)
}

// Plug pulls the host's network cable out of the switch, or puts it back.
func (h *Host) Plug(ctx context.Context, in bool) error { return h.lab.wiring.plug(ctx, h.port, in) }

// Mounts returns the lines of the host's mount table, as in
// /proc/PID/mountinfo.
func (h *Host) Mounts() ([]string, error) {
	pid, err := h.process1()
	if err != nil {
		return nil, fmt.Errorf("read mount table of %s: %w", h.Name, err)
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("read mount table of %s: %w", h.Name, err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n"), nil
}

// Processes returns the command lines of the host's processes, words separated
// by spaces, by their pids as the lab sees them.
func (h *Host) Processes() (map[int]string, error) {
	pid, err := h.process1()
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	mine, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	all := map[int]string{}
	for _, file := range files {
		dir := filepath.Dir(file)
		network, netErr := os.Readlink(dir + "/ns/net")
		line, err := os.ReadFile(file)
		pid, numErr := strconv.Atoi(filepath.Base(dir))
		if netErr != nil || err != nil || numErr != nil || network != mine {
			continue // of another host, or ended meanwhile
		}
		all[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	}
	return all, nil
}

// Reboot cuts the power and starts the host again: see PowerOff and PowerOn.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.PowerOff(); err != nil {
		return err
	}
	return h.PowerOn(ctx)
}

// PowerOff cuts the power: the host's processes, mounts and loop devices are
// gone, and nobody can reach it.
func (h *Host) PowerOff() error {
	if err := h.powerOff(); err != nil {
		return fmt.Errorf("cut power of host %s: %w", h.Name, err)
	}
	return nil
}

// PowerOn starts a host whose power was cut: /run and /tmp are empty, the boot
// id is another one; everything else on its disk is as it was.
func (h *Host) PowerOn(ctx context.Context) error {
	// The kernel may have been faster, so a failure says nothing.
	_ = h.lab.wiring.disconnect(ctx, h.port)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("disconnect host %s: %w", h.Name, err)
	}
	if err := h.boot(ctx); err != nil {
		return fmt.Errorf("boot host %s: %w", h.Name, err)
	}
	return nil
}

// boot makes the host's namespaces and its process 1, and connects it.
func (h *Host) boot(ctx context.Context) error {
	for _, dir := range []string{"run", "tmp", cgroups} {
		if err := emptyDir(h.Path(dir)); err != nil {
			return err
		}
	}
	// The SAN's path may lead through /tmp.
	if err := os.MkdirAll(h.Path(h.lab.SAN), 0o755); err != nil {
		return err
	}
	bootID := uuid.NewString()
	h.mu.Lock()
	h.bootID = bootID
	h.mu.Unlock()
	if err := os.WriteFile(h.Path("/etc/boot_id"), []byte(bootID+"\n"), 0o444); err != nil {
		return err
	}
	t, err := newThread(h.makeNamespaces)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.thread = t
	h.mu.Unlock()
	init, err := h.startInit()
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.init = init
	h.mu.Unlock()
	if err := h.lab.wiring.connect(ctx, h.port, init.Process.Pid); err != nil {
		return fmt.Errorf("connect to switch: %w", err)
	}
	return h.Do(func() error {
		if err := unix.Mount("/etc/boot_id", "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("give boot id: %w", err)
		}
		return ip(ctx, "link set lo up", "addr add "+h.Address+prefixBits+" dev eth0", "link set eth0 up")
	})
}

// makeNamespaces moves the calling thread into a new machine.
func (h *Host) makeNamespaces() error {
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := unix.Unshare(all); err != nil {
		return fmt.Errorf("unshare namespaces: %w", err)
	}
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := h.enterRoot(); err != nil {
		return err
	}
	// Applies to the thread's children; the first is the host's process 1.
	if err := unix.Unshare(unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("unshare process namespace: %w", err)
	}
	return nil
}

// startInit starts process 1, which mounts the host's own /proc (nobody
// outside its process namespace could) and then only waits for orphans.
func (h *Host) startInit() (*exec.Cmd, error) {
	const script = `mount -t proc proc /proc && echo up && { sleep infinity & wait; }`
	var stderr bytes.Buffer
	// Only process 1 may have a parent-death signal: other children would find
	// that their parent is not the expected one, outside their namespace, and
	// take it for dead. They end with process 1.
	init := &exec.Cmd{
		Path:        "/bin/sh",
		Args:        []string{"init", "-c", script},
		Env:         hostEnv,
		Stderr:      &stderr,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	out, err := init.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Do(init.Start); err != nil {
		return nil, fmt.Errorf("start process 1: %w", err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		_ = init.Process.Kill()
		_ = init.Wait()
		return nil, fmt.Errorf("start process 1: %w: %s", err, stderr.String())
	}
	return init, nil
}

// powerOff ends everything on the host as a power cut does.
func (h *Host) powerOff() error {
	h.mu.Lock()
	t := h.thread
	h.thread = nil
	init := h.init
	h.init = nil
	daemons := h.daemons
	h.daemons = nil
	h.mu.Unlock()
	if t == nil {
		return nil
	}
	if init != nil && init.Process != nil {
		// The kernel ends all processes of the namespace before the wait returns.
		_ = init.Process.Kill()
		_ = init.Wait()
	}
	for _, p := range daemons {
		<-p.Exited()
	}
	devices, err := h.dropLoops()
	t.end()
	return errors.Join(err, awaitFree(devices))
}

// dropLoops detaches the loop devices that the machine had: a power cut takes
// them away, but here the kernel survives. They are free when the last mount
// is gone, with the host's thread.
func (h *Host) dropLoops() ([]Loop, error) {
	loops, err := Loops(h.lab.SAN)
	if err != nil {
		return nil, err
	}
	var mine []Loop
	var errs []error
	for _, l := range loops {
		if h.owns(l) {
			mine = append(mine, l)
			errs = append(errs, l.detach())
		}
	}
	return mine, errors.Join(errs...)
}

// awaitFree waits until no device is carried by the file by which it was.
func awaitFree(devices []Loop) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, l := range devices {
		err := Until(ctx, l.Device+" is free", func() error {
			if l.Attached() {
				return fmt.Errorf("it has %s", l.Backing)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// enter starts another thread in the host's namespaces.
func (h *Host) enter() (*thread, error) {
	kinds := []struct {
		name string
		flag int
	}{{"net", unix.CLONE_NEWNET}, {"uts", unix.CLONE_NEWUTS}, {"mnt", unix.CLONE_NEWNS}}
	pid, err := h.process1()
	if err != nil {
		return nil, err
	}
	return newThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare working directory: %w", err)
		}
		for _, ns := range kinds {
			fd, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.name))
			if err != nil {
				return fmt.Errorf("enter host %s: %w", h.Name, err)
			}
			err = unix.Setns(int(fd.Fd()), ns.flag)
			_ = fd.Close()
			if err != nil {
				return fmt.Errorf("enter %s namespace of host %s: %w", ns.name, h.Name, err)
			}
		}
		return nil
	})
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
