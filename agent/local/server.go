// Package local is the front door for programs on the same machine: the Mesos
// isolator, dvdcli, and whoever may open the agent's socket. It speaks the
// local protocol of package api.
package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

// Volumes is what the front door calls; package agent has it.
type Volumes interface {
	Acquire(ctx context.Context, req api.AcquireRequest) ([]api.Mount, error)
	Await(ctx context.Context, consumer string, progress func(string)) ([]api.Mount, error)
	Release(ctx context.Context, consumer string) error
	Status() api.AgentStatus
}

// Labels finds the labels that Mesos knows for a nested container.
type Labels interface {
	Labels(ctx context.Context, container, parent string) ([]api.Label, error)
}

// Roles finds the role of a framework on this machine. More than one is an error.
type Roles interface {
	Role(ctx context.Context, framework string) (string, error)
}

// Marathon asks a Marathon about itself.
type Marathon interface {
	Info(ctx context.Context, url string) (*api.MarathonInfo, error)
}

// Mesos examines the Mesos agent. What cannot be found out is in the answer.
type Mesos interface {
	Inspect(ctx context.Context) *api.MesosInfo
}

// Bounds of what a client can make the server do.
const (
	maxClients     = 1024            // at once; a Mesos agent runs some hundred containers at the most
	maxWaits       = 896             // of these in an Await, so that containers which wait keep no other call out
	requestTimeout = 4 * time.Second // to send a request, and for everything but Await; clients give up after 5 s
	writeTimeout   = 5 * time.Second // for a client to take a line
	acceptRetry    = 100 * time.Millisecond
)

// Server serves the local protocol on a unix socket.
type Server struct {
	Volumes Volumes
	Labels  Labels // nil where no Mesos agent is configured
	Roles   Roles  // likewise
	// Marathon is nil where nobody can ask one.
	Marathon Marathon
	// Mesos is nil where no Mesos agent is configured.
	Mesos Mesos
	// Clone returns a detached clone of a mount, for an Await that asks for
	// them. Nil refuses such an Await.
	Clone func(path string, device uint64) (*os.File, error)
	// MountRoot is the directory below which all volumes are mounted.
	MountRoot string
	// WaitLimit is how long an Await can take.
	WaitLimit time.Duration
	Log       *slog.Logger
}

// Listen makes the socket, readable by its owner alone, in the place of what
// an earlier agent left behind. The socket stays when the listener is closed.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove socket of an earlier agent: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("restrict socket: %w", err)
	}
	return l, nil
}

// Serve answers clients until ctx ends, and closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	slots, waits := make(chan struct{}, maxClients), make(chan struct{}, maxWaits)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if !passing(err) {
				return fmt.Errorf("accept local client: %w", err)
			}
			s.Log.Warn("cannot accept local client, will try again", "cause", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptRetry):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
			clients.Go(func() {
				defer func() { <-slots }()
				s.serve(ctx, conn, waits)
			})
		default:
			s.Log.Warn("refused local client: too many at once", "limit", maxClients)
			_ = conn.Close()
		}
	}
}

// passing reports whether a failure to accept is no reason to give up: the
// client is gone already, or the process is short of file descriptors.
func passing(err error) bool {
	return errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// serve answers the one request of a connection. An Await takes a place in waits.
func (s *Server) serve(ctx context.Context, conn net.Conn, waits chan struct{}) {
	var hangup sync.WaitGroup
	defer hangup.Wait()
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	req, err := read(conn)
	if err != nil {
		if !errors.Is(err, io.EOF) { // who connects and says nothing only looks whether the agent is there
			s.reply(conn, api.LocalReply{Done: true, Error: api.AsError(err)})
		}
		return
	}
	if req.Acquire != nil {
		req.Acquire.Alive = func() bool { return !hungUp(conn) }
	}
	if req.Await != nil {
		select {
		case waits <- struct{}{}:
			defer func() { <-waits }()
		default:
			s.Log.Warn("refused to have one more client wait, it will try again", "limit", maxWaits)
			return
		}
		// An Await may last; its client hangs up when its container is killed.
		hangup.Go(func() {
			_, _ = io.Copy(io.Discard, conn)
			cancel()
		})
	} else {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, requestTimeout)
		defer done()
	}
	var trees []*os.File
	defer func() { closeAll(trees) }()
	reply, err := s.handle(ctx, req, func(text string) { s.reply(conn, api.LocalReply{Progress: text}) })
	if err == nil && req.Await != nil && req.Await.Trees {
		reply.MountRoot = s.MountRoot
		trees, err = s.clone(conn, reply.Mounts)
	}
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return // the agent stops: the client waits for the next one
	case errors.Is(err, context.DeadlineExceeded):
		err = api.Errorf(api.CodeUnavailable, "the agent could not answer within %s: %v", requestTimeout, err)
	}
	reply.Done = true
	if err != nil {
		reply = api.LocalReply{Done: true, Error: api.AsError(err)}
	}
	if len(trees) > 0 && err == nil {
		s.replyWith(conn, reply, trees)
		return
	}
	s.reply(conn, reply)
}

// hungUp reports whether the client has closed its end.
func hungUp(conn net.Conn) bool {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	if err := raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, _ := unix.Poll(fds, 0)
		gone = n > 0
	}); err != nil {
		return true
	}
	return gone
}

func read(conn net.Conn) (api.LocalRequest, error) {
	var req api.LocalRequest
	if err := conn.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return req, err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, api.MaxLocalLine)).ReadBytes('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return req, io.EOF
		}
		return req, api.Errorf(api.CodeInvalid, "a request is one line of JSON of at most %d bytes", api.MaxLocalLine)
	}
	if err := json.Unmarshal(line, &req); err != nil {
		return req, api.Errorf(api.CodeInvalid, "request is not what the local protocol knows: %v", err)
	}
	return req, conn.SetReadDeadline(time.Time{})
}

func (s *Server) handle(ctx context.Context, req api.LocalRequest, progress func(string)) (api.LocalReply, error) {
	switch {
	case req.Acquire != nil:
		req.Acquire.Owner = s.owner(ctx, req.Acquire)
		mounts, err := s.Volumes.Acquire(ctx, *req.Acquire)
		return api.LocalReply{Mounts: mounts, WaitLimit: s.WaitLimit}, err
	case req.Await != nil:
		mounts, err := s.Volumes.Await(ctx, req.Await.Consumer, progress)
		return api.LocalReply{Mounts: mounts}, err
	case req.Release != nil:
		return api.LocalReply{}, s.Volumes.Release(ctx, req.Release.Consumer)
	case req.Labels != nil:
		if s.Labels == nil {
			return api.LocalReply{}, nil
		}
		labels, err := s.Labels.Labels(ctx, req.Labels.Container, req.Labels.Parent)
		return api.LocalReply{Labels: labels}, err
	case req.Marathon != nil && s.Marathon != nil:
		info, err := s.Marathon.Info(ctx, req.Marathon.URL)
		return api.LocalReply{Marathon: info}, err
	case req.Mesos != nil && s.Mesos == nil:
		return api.LocalReply{}, api.Errorf(api.CodeNotFound, "this agent is not told of a Mesos agent")
	case req.Mesos != nil:
		return api.LocalReply{Mesos: s.Mesos.Inspect(ctx)}, nil
	case req.Status != nil:
		status := s.Volumes.Status()
		return api.LocalReply{Status: &status}, nil
	default:
		return api.LocalReply{}, api.Errorf(api.CodeInvalid, "the request asks for nothing this agent knows")
	}
}

// maxTrees is how many descriptors the kernel passes on at once (SCM_MAX_FD).
const maxTrees = 253

// clone returns a detached clone of each mount, in order. They go to a client
// that is root alone: a volume reached through its clone has no other guard.
func (s *Server) clone(conn net.Conn, mounts []api.Mount) ([]*os.File, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok || s.Clone == nil {
		return nil, api.Errorf(api.CodeInvalid, "this agent hands no volumes over")
	}
	if err := checkRoot(unixConn); err != nil {
		return nil, err
	}
	if len(mounts) > maxTrees {
		return nil, api.Errorf(api.CodeInvalid, "%d volumes are more than the %d that can be handed over", len(mounts), maxTrees)
	}
	var trees []*os.File
	for _, m := range mounts {
		tree, err := s.Clone(m.Source, m.Device)
		if err != nil {
			closeAll(trees)
			return nil, api.Errorf(api.CodeUnavailable, "volume %s (%s) is not mounted any more: %v", m.Name, m.Key, err)
		}
		trees = append(trees, tree)
	}
	return trees, nil
}

func checkRoot(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failure error
	if err := raw.Control(func(fd uintptr) {
		peer, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failure != nil {
		return fmt.Errorf("find the client's user: %w", failure)
	}
	if peer.Uid != 0 {
		return api.Errorf(api.CodeForbidden, "volumes are handed over to root alone, not to user %d", peer.Uid)
	}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// replyWith writes a line together with descriptors.
func (s *Server) replyWith(conn net.Conn, r api.LocalReply, files []*os.File) {
	line, err := json.Marshal(r)
	if err != nil {
		s.Log.Error("cannot encode reply to local client", "cause", err)
		return
	}
	line = append(line, '\n')
	fds := make([]int, 0, len(files))
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, _, err := conn.(*net.UnixConn).WriteMsgUnix(line, unix.UnixRights(fds...), nil)
	if err == nil && n < len(line) {
		_, _ = conn.Write(line[n:])
	}
}

// roleTimeout bounds how long a container's launch is held up by a Mesos agent that does
// not answer.
const roleTimeout = time.Second

// owner returns for which owner a client asks: the role that Mesos allocated the
// container's resources to, else the role of its framework. A client that names
// neither is one of the doors that carry no identity.
func (s *Server) owner(ctx context.Context, req *api.AcquireRequest) api.Owner {
	switch {
	case req.Kind != api.ConsumerMesos:
		return api.Anyone
	case req.Role != "":
		return api.RoleOwner(req.Role)
	case req.Framework == "" || s.Roles == nil:
		return api.OwnerUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	role, err := s.Roles.Role(ctx, req.Framework)
	if err != nil {
		s.Log.Warn("role of a framework is not known", "framework", req.Framework, "consumer", req.Consumer, "cause", err)
		return api.OwnerUnknown
	}
	return api.RoleOwner(role)
}

// reply writes a line. A client that is gone notices nothing, and neither does
// the agent: what it did stands.
func (s *Server) reply(conn net.Conn, r api.LocalReply) {
	line, err := json.Marshal(r)
	if err != nil {
		s.Log.Error("cannot encode reply to local client", "cause", err)
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = conn.Write(append(line, '\n'))
}
