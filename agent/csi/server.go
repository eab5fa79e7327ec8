package csi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"path"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// Volumes is what the front door calls; package agent has it.
type Volumes interface {
	Acquire(ctx context.Context, req api.AcquireRequest) ([]api.Mount, error)
	Await(ctx context.Context, consumer string, progress func(string)) ([]api.Mount, error)
	Release(ctx context.Context, consumer string) error
}

// PluginName is the name by which orchestrators know this plugin.
const PluginName = "csi.flocker.mesos"

// DefaultLimit is how long a call waits for a volume. Mesos gives up after
// 60 s, and then nobody would hear the reason.
const DefaultLimit = 50 * time.Second

// Bounds of what a client can make the server do.
const (
	maxConnections = 64      // at once; Mesos has one for each service
	maxCalls       = 256     // at once on a connection
	maxMessage     = 1 << 16 // bytes; the specification bounds every field at some KiB
	maxHeaders     = 1 << 14 // bytes
	connectTimeout = 5 * time.Second
)

// Server serves CSI's Identity and Node services.
type Server struct {
	Volumes Volumes
	Records *Records
	Node    api.NodeID
	Version string
	Limit   time.Duration // 0 for DefaultLimit
	Log     *slog.Logger

	turns   turns
	holders host.HolderSearch
}

// stopGrace is how long calls that have begun may take when the agent stops.
// Those that wait for a volume are ended at once; the others take
// milliseconds, and Mesos does not repeat a call that has failed.
const stopGrace = 2 * time.Second

// Serve answers clients until ctx ends, and closes the listener. What is
// mounted then stays so.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxHeaderListSize(maxHeaders), grpc.MaxConcurrentStreams(maxCalls),
		grpc.ConnectionTimeout(connectTimeout), grpc.WaitForHandlers(true), grpc.UnaryInterceptor(s.translate),
	)
	spec.RegisterIdentityServer(server, &identity{version: s.Version})
	spec.RegisterNodeServer(server, &node{Server: s, life: ctx})
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(stopGrace, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
	defer stop()
	if err := server.Serve(netutil.LimitListener(l, maxConnections)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func (s *Server) limit() time.Duration { return cmp.Or(s.Limit, DefaultLimit) }

// translate answers every failure in CSI's words and logs it: nothing of a
// request but the paths and the volume, since there may be secrets in it.
func (s *Server) translate(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, req)
	if err == nil {
		return answer, nil
	}
	st := statusOf(err)
	args := []any{"call", path.Base(info.FullMethod), "code", st.Code().String(), "cause", st.Message()}
	if r, ok := req.(interface{ GetVolumeId() string }); ok {
		args = append(args, "volume", r.GetVolumeId())
	}
	if r, ok := req.(interface{ GetTargetPath() string }); ok {
		args = append(args, "target", r.GetTargetPath())
	}
	s.Log.Warn("CSI call failed", args...)
	return nil, st.Err()
}
