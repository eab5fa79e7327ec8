package control

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/pki"
)

// rest is the API for users: Flocker's, and what it lacks.
type rest struct {
	replica       *Replica
	self          api.ReplicaID
	now           func() time.Time
	log           *slog.Logger
	version       string
	defaultSize   int64
	configuration configurationCache
	backups       backups
	stopping      <-chan struct{} // closed when those who wait have to be answered
}

// serve returns the server of all resources.
func (a *rest) serve(log *slog.Logger, m *metrics) http.Handler {
	s := newServer(slog.LevelInfo, log, m, pki.RoleUser, pki.RoleReader)
	a.versionRoutes(s)
	a.datasetRoutes(s)
	a.stateRoutes(s)
	a.containerRoutes(s)
	a.volumeRoutes(s)
	a.nodeRoutes(s)
	a.statusRoutes(s)
	a.backupRoutes(s)
	s.stale = func() (time.Time, bool) {
		since, _ := a.replica.outage.state()
		return since, !since.IsZero()
	}
	s.handle("/health", methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request, _ caller) error {
		return health(w, a.replica)
	}})
	return s
}

// Header fields of Flocker's conditional requests.
const (
	headerTag   = "X-Configuration-Tag"
	headerMatch = "X-If-Configuration-Matches"
)

// headerStale is in the answers of a replica that cannot reach the log: since
// when they show what was last known.
const headerStale = "X-Flocker-Stale-Since"

// expect returns the condition of a request.
func expect(r *http.Request) cluster.Expect { return r.Header.Values(headerMatch) }
