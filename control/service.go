package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/openapi"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/pki"
)

// Deps is what the service needs from outside.
type Deps struct {
	Cluster  string      // UUID of the cluster, from the service's certificate
	UserTLS  *tls.Config // admits users' and readers' certificates only
	AgentTLS *tls.Config // admits nodes' certificates only
	// Credentials are what UserTLS and AgentTLS were made of, nil where that is
	// not known: then nobody is told when the certificate expires.
	Credentials *pki.Credentials
	Version     string
	Log         *slog.Logger
	Now         func() time.Time // nil for time.Now
	// Registry takes the metrics; nil for one of the service's own.
	Registry *prometheus.Registry
	// Mesos is asked for what became of lost nodes, nil for nobody.
	Mesos Mesos
	// Store is used instead of what the configuration names, if not nil. The
	// service closes it.
	Store store.Log
	// Listening is called when all that the service needs is there, before it listens;
	// nil for no call.
	Listening func()
}

// Service is a control service: one replica with its listeners.
type Service struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	store   store.Log
	replica *Replica
	members *membership
	live    *liveness

	refusals *refusals
	marathon *Marathon

	servers  []*listening
	tracked  []*connections
	stopping chan struct{} // closed when streams have to end
}

// listening is an HTTP server on its listener.
type listening struct {
	name     string
	server   *http.Server
	listener net.Listener
}

// Time limits of connections. Streams have limits of their own.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	// maxConnections bounds those of a listener. Further ones wait in the kernel's
	// queue until one ends.
	maxConnections  = 16384
	maxHeaderBytes  = 64 << 10
	openTimeout     = time.Minute
	shutdownTimeout = 5 * time.Second
)

// New opens the store and the listeners of a service; Run serves them, or Close
// gives them up. Errors are for the person who started it.
func New(cfg Config, deps Deps) (*Service, error) { return Open(context.Background(), cfg, deps) }

// Open is New that ctx ends early.
func Open(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if deps.Cluster == "" || deps.UserTLS == nil || deps.AgentTLS == nil {
		return nil, errors.New("a control service needs certificates")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Registry == nil {
		deps.Registry = prometheus.NewRegistry()
	}
	now := deps.Now
	deps.Now = func() time.Time { return now().UTC() }
	log, err := openStore(cfg, deps)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, log: deps.Log, store: log, stopping: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	m := newMetrics(s.deps.Registry)
	s.refusals = newRefusals(s.log, m.refused)
	if s.deps.Credentials != nil {
		s.deps.Registry.MustRegister(s.deps.Credentials)
	}
	replica, err := openReplica(ctx, s.store, s.deps.Cluster, s.memory(), s.deps.Now(), s.log, m.replica)
	if err != nil {
		return err
	}
	s.replica = replica
	s.deps.Registry.MustRegister(newCensus(replica, s.deps.Now), newBuildInfo(s.deps.Version))
	if of, ok := s.store.(interface{ Warnings() []string }); ok {
		replica.warnings = of.Warnings()
	}
	for _, text := range replica.warnings {
		s.log.Warn(text)
	}
	if err := replica.startWith(ctx, api.Tenancy(s.cfg.Tenancy), s.deps.Now()); err != nil {
		return fmt.Errorf("begin log: %w", err)
	}
	settings, err := s.cfg.settings()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask for the host's name: %w", err)
	}
	self := api.Replica{ID: api.ReplicaID(uuid.NewString()), Name: name, Version: s.deps.Version, Started: s.deps.Now()}
	document, err := openapi.Load()
	if err != nil {
		return err
	}
	users := &rest{
		document: document, well: s.Well, mesos: s.deps.Mesos,
		replica: replica, self: self.ID, now: s.deps.Now, log: s.log, version: s.deps.Version, defaultSize: settings.DefaultSize,
		stopping: s.stopping, writes: newBuckets(float64(s.cfg.WriteRate), m.limited.WithLabelValues("writes")), metrics: m,
	}
	nodes := &agents{
		replica: replica, self: self.ID, now: s.deps.Now, log: s.log, metrics: m,
		version: s.deps.Version, name: name, defaultSize: settings.DefaultSize, heartbeat: s.cfg.Heartbeat, stopping: s.stopping,
		mesos: s.deps.Mesos, writes: newBuckets(float64(s.cfg.WriteRate), m.limited.WithLabelValues("writes")),
		reports:     newBuckets(float64(s.cfg.WriteRate)*reportsPerWrite, m.limited.WithLabelValues("reports")),
		inventories: make(chan struct{}, inventoriesAtOnce),
	}
	s.marathon = &Marathon{replica: replica, self: self.ID, now: s.deps.Now, log: s.log, defaultSize: settings.DefaultSize}
	handler, err := users.serve(s.log, m)
	if err != nil {
		return err
	}
	if s.deps.Listening != nil {
		s.deps.Listening()
	}
	if err := s.listen("users", s.cfg.Listen, s.deps.UserTLS, handler, s.track("users", m, pki.APIRoles()...)); err != nil {
		return err
	}
	if err := s.listen("agents", s.cfg.AgentListen, s.deps.AgentTLS, nodes.serve(s.log, m), s.track("agents", m, pki.RoleNode)); err != nil {
		return err
	}
	self.Users, self.Agents = s.advertised(name, s.UserAddr()), s.advertised(name, s.AgentAddr())
	s.members = newMembership(replica, self, settings, s.deps.Now, s.log, m)
	if s.deps.Credentials != nil {
		s.members.expires = s.deps.Credentials.Expires
	}
	s.live = newLiveness(replica, s.members, s.deps.Now, s.cfg.Heartbeat, s.log, m)
	nodes.live, nodes.members = s.live, s.members
	if err := s.members.join(ctx); err != nil {
		return fmt.Errorf("join the replicas: %w", err)
	}
	if s.cfg.MetricsListen == "" {
		return nil
	}
	err = s.listen("metrics", s.cfg.MetricsListen, nil, s.observability(), nil)
	if err != nil && s.cfg.MetricsListen == defaultMetricsListen {
		// A second control service on this machine is no reason not to start.
		s.log.Warn("metrics are not served: set metrics-listen to a free address of this machine", "address", s.cfg.MetricsListen, "cause", err)
		return nil
	}
	return err
}

// memory returns what this replica remembers of the log.
func (s *Service) memory() *memory {
	if s.deps.Store != nil && s.cfg.StateDir == "" {
		return &memory{} // the log is the caller's
	}
	return &memory{path: s.cfg.memoryFile(s.deps.Cluster)}
}

// advertised returns under what others reach a listener of this machine.
func (s *Service) advertised(name string, a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = name
	}
	if s.cfg.Advertise != "" {
		host = s.cfg.Advertise
	}
	return net.JoinHostPort(host, port)
}

// observability serves this machine's monitoring, without TLS.
func (s *Service) observability() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.deps.Registry, promhttp.HandlerOpts{}))
	answer := func(err error, w http.ResponseWriter) {
		if err != nil {
			status, body := describe(err, "")
			reply(w, status, body)
		}
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(health(w, s.replica), w) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { answer(readiness(w, s.replica, s.Well), w) })
	return mux
}

// track returns what keeps track of the connections of a listener.
func (s *Service) track(name string, m *metrics, admitted ...pki.Role) *connections {
	c := &connections{
		name: name, credentials: s.deps.Credentials, admitted: admitted, now: s.deps.Now, log: s.log,
		ended: m.ended.WithLabelValues(name), crowded: m.limited.WithLabelValues("connections"),
	}
	s.tracked = append(s.tracked, c)
	return c
}

func (s *Service) listen(name, address string, tls *tls.Config, handler http.Handler, tracked *connections) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	l = netutil.LimitListener(l, maxConnections)
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         tls,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.refusals.of(name), slog.LevelWarn),
	}
	if tracked != nil {
		tracked.keep(server)
	}
	s.servers = append(s.servers, &listening{name: name, listener: l, server: server})
	return nil
}

// UserAddr returns where users are served.
func (s *Service) UserAddr() net.Addr { return s.servers[0].listener.Addr() }

// AgentAddr returns where agents are served.
func (s *Service) AgentAddr() net.Addr { return s.servers[1].listener.Addr() }

// MetricsAddr returns where monitoring is served, nil for nowhere.
func (s *Service) MetricsAddr() net.Addr {
	if len(s.servers) < 3 {
		return nil
	}
	return s.servers[2].listener.Addr()
}

// Replica returns the service's replica.
func (s *Service) Replica() *Replica { return s.replica }

// Self returns the record of this replica as it was when it began.
func (s *Service) Self() api.Replica { return s.members.self }

// Marathon returns what who follows Marathon needs.
func (s *Service) Marathon() *Marathon { return s.marathon }

// Registry takes metrics that are shown with the service's own.
func (s *Service) Registry() *prometheus.Registry { return s.deps.Registry }

// Well says why another replica had better be called, nil where there is no reason.
func (s *Service) Well() error {
	select {
	case <-s.stopping:
		return errStopped
	case <-s.replica.stopped:
		return errStopped
	default:
	}
	if since, cause := s.replica.outage.state(); !since.IsZero() {
		return fmt.Errorf("the store cannot be reached since %s: %w", since.Format(time.RFC3339), cause)
	}
	if s.members.cutOff() {
		return errCutOff
	}
	return nil
}

// Run serves until ctx ends, or until the service cannot go on, which is an
// error. It closes everything.
func (s *Service) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	g, gctx := errgroup.WithContext(ctx)
	// The replica outlives the servers, so that whatever they have taken in
	// is answered.
	replicaCtx, stopReplica := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReplica()
	g.Go(func() error { return s.replica.Run(replicaCtx) })
	for _, l := range s.servers {
		g.Go(func() error { return l.serve() })
	}
	for _, c := range s.tracked {
		g.Go(func() error {
			c.run(gctx)
			return nil
		})
	}
	g.Go(func() error {
		s.live.run(gctx)
		return nil
	})
	g.Go(func() error {
		s.members.beat(gctx)
		return nil
	})
	if s.deps.Credentials != nil {
		g.Go(func() error {
			s.deps.Credentials.Watch(gctx)
			return nil
		})
	}
	if s.deps.Mesos != nil {
		g.Go(func() error { return s.deps.Mesos.Run(gctx) })
	}
	g.Go(func() error {
		upkeep(gctx, s.replica, s.members.self.ID, s.cfg.Heartbeat, s.deps.Now, s.log)
		return nil
	})
	g.Go(func() error {
		expireLeases(gctx, s.replica, s.members.self.ID, s.deps.Now, s.log)
		return nil
	})
	g.Go(func() error {
		prune(gctx, s.replica, s.deps.Now, s.cfg.KeepDeleted, s.log)
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		defer stopReplica()
		err := s.shutdown()
		farewell, cancel := context.WithTimeout(replicaCtx, shutdownTimeout)
		defer cancel()
		s.members.leave(farewell)
		return err
	})
	state := s.replica.State()
	s.log.Info("control service runs", "version", s.deps.Version, "users", s.UserAddr().String(), "agents", s.AgentAddr().String(),
		"store", s.replica.props.Name, "cluster", s.deps.Cluster, "revision", state.Revision(), "datasets", state.CountDatasets())
	err = g.Wait()
	s.log.Info("control service ends", "cause", context.Cause(ctx))
	return err
}

func (l *listening) serve() error {
	var err error
	if l.server.TLSConfig == nil {
		err = l.server.Serve(l.listener)
	} else {
		err = l.server.ServeTLS(l.listener, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.name, err)
}

// shutdown ends the streams, answers what has been asked, and closes the
// servers. Agents come back to the next service by themselves.
func (s *Service) shutdown() error {
	close(s.stopping)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var g errgroup.Group
	for _, l := range s.servers {
		g.Go(func() error {
			if err := l.server.Shutdown(ctx); err != nil {
				s.log.Warn("connections are cut", "listener", l.name, "cause", err)
				return l.server.Close()
			}
			return nil
		})
	}
	return g.Wait()
}

// Close gives up what New has opened, where Run is not called.
func (s *Service) Close() error {
	errs := []error{s.store.Close()}
	for _, l := range s.servers {
		if err := l.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
