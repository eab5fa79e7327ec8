package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Addresses of the hosts are network.1, network.2, ... in the order in which
// they were made.
const (
	network    = "10.77.0."
	prefixBits = "/24"
)

// wiring is a switch: a bridge in a network namespace of its own, with one
// cable to every host.
type wiring struct{ thread *thread }

func newWiring(ctx context.Context) (*wiring, error) {
	thread, err := newThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	w := &wiring{thread: thread}
	if err := w.ip(ctx, "link add switch type bridge", "link set switch up"); err != nil {
		w.close()
		return nil, fmt.Errorf("make switch: %w", err)
	}
	return w, nil
}

// connect lays a cable from the switch to the network namespace of a process,
// where it ends as eth0.
func (w *wiring) connect(ctx context.Context, port string, pid int) error {
	return w.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", port, pid),
		fmt.Sprintf("link set %s master switch", port),
		fmt.Sprintf("link set %s up", port))
}

// disconnect takes a cable away. The kernel would do it by itself, some time
// after the host's network namespace has gone.
func (w *wiring) disconnect(ctx context.Context, port string) error {
	return w.ip(ctx, "link del "+port)
}

// plug makes a cable carry packets, or not: both ends then see no carrier, and
// whoever waits for an answer through it hears nothing.
func (w *wiring) plug(ctx context.Context, port string, in bool) error {
	if in {
		return w.ip(ctx, "link set "+port+" up")
	}
	return w.ip(ctx, "link set "+port+" down")
}

func (w *wiring) close() { w.thread.end() }

func (w *wiring) ip(ctx context.Context, commands ...string) error {
	return w.thread.do(func() error { return ip(ctx, commands...) })
}

// ip runs commands of ip(8) in the namespaces of the calling thread.
func ip(ctx context.Context, commands ...string) error {
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(commands, "; "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
