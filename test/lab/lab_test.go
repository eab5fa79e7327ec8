package lab_test

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

func newLab(t *testing.T, opts lab.Options, names ...string) (*lab.Lab, []*lab.Host) {
	t.Helper()
	l, err := lab.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var hosts []*lab.Host
	for _, name := range names {
		h, err := l.Host(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	return l, hosts
}

func output(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Command(t.Context(), args[0], args[1:]...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func TestHostHasNameAddressAndProcessesOfItsOwn(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1", "node2")
	for i, want := range []string{"10.77.0.1", "10.77.0.2"} {
		h := hosts[i]
		if got := output(t, h, "hostname"); got != h.Name {
			t.Errorf("host name is %q, want %q", got, h.Name)
		}
		if got := output(t, h, "ip", "-4", "-brief", "address", "show", "eth0"); !strings.Contains(got, want+"/24") {
			t.Errorf("address is %q, want %s", got, want)
		}
		if got := output(t, h, "cat", "/proc/sys/kernel/random/boot_id"); got != h.BootID() {
			t.Errorf("boot id is %q, want %q", got, h.BootID())
		}
		if got := output(t, h, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '"); !strings.HasPrefix(got, "init") {
			t.Errorf("process 1 is %q", got)
		}
	}
	all, err := hosts[0].Processes()
	if err != nil || !slices.Contains(slices.Collect(maps.Values(all)), "sleep infinity") || len(all) != 2 {
		t.Errorf("processes are %v, %v, want process 1 and its child", all, err)
	}
	if hosts[0].BootID() == hosts[1].BootID() {
		t.Error("two hosts have one boot id")
	}
}

func TestHostsReachEachOtherUntilACableIsPulled(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1", "node2")
	a, b := hosts[0], hosts[1]
	listener, err := b.Listen(t.Context(), "tcp", b.Address+":4524")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	conn, err := a.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := net.SplitHostPort(conn.LocalAddr().String()); got != a.Address {
		t.Errorf("connected from %s, want %s", got, a.Address)
	}
	conn.Close()

	if err := b.Plug(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := a.Dial(ctx, "tcp", listener.Addr().String()); err == nil {
		conn.Close()
		t.Error("connected through a cable that was pulled")
	}

	if err := b.Plug(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	conn, err = a.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestWhatAHostMountsAndWritesStaysInside(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, lab.Options{}, "node1", "node2")
	a, b := hosts[0], hosts[1]
	output(t, a, "sh", "-ec", "mkdir /flocker; mount -t tmpfs inside /flocker; touch /flocker/x /etc/flocker/y "+l.SAN+"/z")

	if got, err := a.Mounts(); err != nil || !slices.ContainsFunc(got, func(m string) bool {
		return strings.Contains(m, " /flocker ") && strings.HasSuffix(m, "tmpfs inside rw")
	}) {
		t.Errorf("the mount table is %q, %v", got, err)
	}
	if got := output(t, b, "sh", "-c", "ls -d /flocker /etc/flocker/* "+l.SAN+"/* 2>/dev/null || true"); got != l.SAN+"/z" {
		t.Errorf("the other host sees %q, want only the SAN's file", got)
	}
	if _, err := os.Stat(a.Path("/etc/flocker/y")); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), l.Dir) {
		t.Error("the lab's mounts show outside")
	}
	for path, want := range map[string]string{"/usr": "ro", "/flocker": "rw"} {
		if got := output(t, a, "findmnt", "-no", "VFS-OPTIONS", path); !strings.HasPrefix(got, want) {
			t.Errorf("%s is mounted %s, want %s", path, got, want)
		}
	}
}

func TestRootMountsAreSharedUnlessAskedOtherwise(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]lab.Options{"shared": {}, "private": {PrivateMounts: true}} {
		_, hosts := newLab(t, opts, "node1")
		if got := output(t, hosts[0], "findmnt", "-no", "PROPAGATION", "/"); got != want {
			t.Errorf("/ is %s, want %s", got, want)
		}
	}
}

func TestRebootKeepsTheDiskAndNothingElse(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, lab.Options{}, "node1", "node2")
	h, other := hosts[0], hosts[1]
	for _, h := range hosts {
		output(t, h, "sh", "-ec", `
			mkdir -p /flocker `+l.SAN+`/attached/$(hostname)
			truncate -s 64M `+l.SAN+`/attached/$(hostname)/v
			device=$(losetup -f --show `+l.SAN+`/attached/$(hostname)/v)
			mkfs.ext4 -q $device; mount $device /flocker
			touch /var/lib/kept /run/gone /tmp/gone`)
	}
	daemon, err := h.Start(lab.Daemon{Name: "sleeper", Args: []string{"sleep", "infinity"}})
	if err != nil {
		t.Fatal(err)
	}
	before := h.BootID()

	if err := h.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if daemon.Running() {
		t.Error("a process survived the reboot")
	}
	if got := output(t, h, "cat", "/proc/sys/kernel/random/boot_id"); got == before {
		t.Error("the boot id is the same after the reboot")
	}
	if got := output(t, h, "sh", "-c", "ls -A /var/lib/kept /run /tmp"); strings.Contains(got, "gone") {
		t.Errorf("after the reboot there is %q", got)
	}
	if got := output(t, h, "sh", "-c", "grep -c ' /flocker ' /proc/mounts || true"); got != "0" {
		t.Errorf("%s mounts survived the reboot", got)
	}
	loops, err := lab.Loops(l.SAN)
	if err != nil {
		t.Fatal(err)
	}
	if len(loops) != 1 || !strings.Contains(loops[0].Backing, other.Name) {
		t.Errorf("loop devices after the reboot are %v, want only the other host's", loops)
	}
	output(t, h, "ip", "route", "get", other.Address)
}

func TestDaemonIsFrozenContinuedAndKilled(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, lab.Options{}, "node1")
	start := func() *lab.Process {
		p, err := hosts[0].Start(lab.Daemon{
			Name: "d", Env: []string{"WORD=hello"},
			Args: []string{"sh", "-c", `echo "$WORD $$"; trap "echo bye; exit 3" TERM; while :; do sleep 0.01; done`},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := lab.Until(ctx, "the daemon speaks", func() error {
			if !strings.HasPrefix(p.Output(), "hello") {
				return context.DeadlineExceeded
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := start()
	if err := p.Signal(19); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := lab.Until(ctx, "it is frozen", func() error {
		if !p.Frozen() {
			return context.DeadlineExceeded
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.Kill()

	p = start()
	if strings.Count(p.Output(), "hello") != 1 {
		t.Errorf("the output of this run is %q", p.Output())
	}
	if err := p.Stop(ctx); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("stopped with %v, want its own exit status", err)
	}
	if got := p.Output(); !strings.HasSuffix(got, "bye\n") {
		t.Errorf("output is %q", got)
	}
}

func TestNothingOutlivesALab(t *testing.T) {
	t.Parallel()
	l, err := lab.New(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Host(t.Context(), "node1")
	if err != nil {
		t.Fatal(err)
	}
	output(t, h, "sh", "-ec", `truncate -s 64M `+l.SAN+`/v; losetup -f `+l.SAN+`/v
		mkdir -p /srv/x; touch /srv/x/y; chattr +i /srv/x/y /srv/x
		setsid sleep infinity >/dev/null 2>&1 &`)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if loops, err := lab.Loops(l.Dir); err != nil || len(loops) != 0 {
		t.Errorf("loop devices are left: %v, %v", loops, err)
	}
	if _, err := os.Stat(l.Dir); err == nil {
		t.Error("the lab's directory is left")
	}
}
