package isolator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

// SocketVariable names the agent's socket in the environment.
const SocketVariable = "FLOCKER_AGENT_SOCKET"

// SocketPath returns where the agent listens: what the environment says, else
// agent.sock beside the path that the program was called by, if there is one,
// else api.DefaultSocket.
func SocketPath(getenv func(string) string, calledAs string) string {
	if path := getenv(SocketVariable); path != "" {
		return path
	}
	if filepath.Base(calledAs) != calledAs {
		if beside, err := filepath.Abs(filepath.Join(filepath.Dir(calledAs), "agent.sock")); err == nil {
			if _, err := os.Lstat(beside); err == nil {
				return beside
			}
		}
	}
	return api.DefaultSocket
}

// UnreachableError says that no agent answers on a socket.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error returns the socket, the cause, and what to do about it.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the flocker agent does not answer on %s: %v; is \"flocker agent\" running here? "+
		"\"flocker-isolator doctor\" tells more", e.Socket, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// connect opens a stream to a unix socket. It does without package net, which
// would make the program half a megabyte larger and slower to start.
func connect(ctx context.Context, path string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	for {
		err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err == nil {
			if err := checkPeer(fd); err != nil {
				syscall.Close(fd)
				return nil, err
			}
			// The descriptor does not block, so the file has deadlines.
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) {
			syscall.Close(fd)
			return nil, err
		}
		// The agent's queue of connections is full.
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			syscall.Close(fd)
			return nil, err
		}
	}
}

// checkPeer refuses an agent of another user than root. In a container's mount
// namespace a socket of the task's may lie at the path of the agent's. A user
// other than root may have an agent of its own.
func checkPeer(fd int) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("find the user of the agent: %w", err)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d listens there, %w", peer.Uid, errPeer)
	}
	return nil
}

// errPeer is the end of waiting for an agent: what listens in its place is not one.
var errPeer = errors.New("not root")

// sleep returns early, with the cause, when the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
