package control

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/openapi"
	"github.com/flocker-mesos/flocker/pki"
)

// rest is the API for users: Flocker's, and what it lacks. The document says
// what there is.
type rest struct {
	document      *openapi.Document
	replica       *Replica
	self          api.ReplicaID
	now           func() time.Time
	log           *slog.Logger
	version       string
	defaultSize   int64
	mesos         Mesos        // nil where nobody asks it
	well          func() error // why another replica had better be called, nil for no reason
	configuration configurationCache
	backups       backups
	watches       shares
	waits         shares
	writes        *buckets
	metrics       *metrics
	stopping      <-chan struct{} // closed when those who wait have to be answered
}

// operations are the handlers of the document's operations, by their ids.
func (a *rest) operations() map[string]operation {
	return map[string]operation{
		"getVersion":          a.getVersion,
		"listDatasets":        a.listDatasets,
		"createDataset":       a.createDataset,
		"moveDataset":         a.moveDataset,
		"deleteDataset":       a.deleteDataset,
		"listDatasetStates":   a.listDatasetStates,
		"listNodeStates":      a.listNodeStates,
		"getNodeByEra":        a.getNodeByEra,
		"listLeases":          a.listLeases,
		"acquireLease":        a.acquireLease,
		"releaseLease":        a.releaseLease,
		"listContainers":      noContainers,
		"listContainerStates": noContainers,
		"createContainer":     refuseContainer,
		"moveContainer":       refuseContainer,
		"deleteContainer":     refuseContainer,
		"compose":             refuseCompose,
		"listVolumes":         a.listVolumes,
		"getVolume":           a.getVolume,
		"changeVolume":        a.changeVolume,
		"undeleteVolume":      a.undeleteVolume,
		"trimVolume":          a.trimVolume,
		"shareVolume":         a.shareVolume,
		"changeOwner":         a.changeOwner,
		"getTenancy":          a.getTenancy,
		"setTenancy":          a.setTenancy,
		"listQuotas":          a.listQuotas,
		"setQuota":            a.setQuota,
		"listMarathonApps":    a.listMarathonApps,
		"forgetMarathonApp":   a.forgetMarathonApp,
		"watch":               a.watch,
		"listNodes":           a.listNodes,
		"getNode":             a.getNode,
		"removeNode":          a.removeNode,
		"giveUpNode":          a.giveUpNode,
		"allowInstance":       a.allowInstance,
		"drainNode":           a.drainNode,
		"undrainNode":         a.undrainNode,
		"listBackends":        a.listBackends,
		"listOrphans":         a.listOrphans,
		"adoptOrphan":         a.adoptOrphan,
		"forgetOrphan":        a.forgetOrphan,
		"getStatus":           a.getStatus,
		"getBackup":           a.getBackup,
		"getDocument":         a.getDocument,
		"getHealth":           a.getHealth,
		"getReadiness":        a.getReadiness,
	}
}

// serve returns the server of all operations.
func (a *rest) serve(log *slog.Logger, m *metrics) (http.Handler, error) {
	s := newServer(slog.LevelInfo, log, m, pki.APIRoles()...)
	s.stale = func() (time.Time, bool) {
		since, _ := a.replica.outage.state()
		return since, !since.IsZero()
	}
	handlers, paths, flockers := a.operations(), map[string]methods{}, map[string]bool{}
	for _, op := range a.document.Operations() {
		h, ok := handlers[op.ID]
		if !ok {
			return nil, fmt.Errorf("nothing carries out the operation %s of the API", op.ID)
		}
		delete(handlers, op.ID)
		if paths[op.Pattern] == nil {
			paths[op.Pattern] = methods{}
		}
		checked := a.checked(op, h)
		if op.Method != http.MethodGet {
			checked = limited(a.writes, checked)
		}
		paths[op.Pattern][op.Method] = checked
		flockers[op.Pattern] = flockers[op.Pattern] || op.Compatible
	}
	if len(handlers) > 0 {
		return nil, fmt.Errorf("the API's document does not name the operations %v", slices.Sorted(maps.Keys(handlers)))
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if flockers[path] {
			s.handleFlocker(path, paths[path])
		} else {
			s.handle(path, paths[path])
		}
	}
	return s, nil
}

// checked lets only requests through that are as the document wants them. One
// with a mistake in it is refused by its condition first, as Flocker does.
func (a *rest) checked(op *openapi.Operation, h operation) handler {
	conditional := op.Conditional(headerMatch)
	return func(w http.ResponseWriter, r *http.Request, who caller) error {
		if err := admitTenant(op.ID, who); err != nil {
			return err
		}
		req, err := newRequest(op, r, who)
		if err == nil {
			return h(w, req)
		}
		if conditional {
			if mismatch := req.expect().Check(a.replica.State()); mismatch != nil {
				return mismatch
			}
		}
		return mistake(err)
	}
}

// mistake turns what the document says of a request into what its sender is told.
func mistake(err error) error {
	if body, ok := errors.AsType[*openapi.BodyError](err); ok {
		return &schemaError{body.Mistakes}
	}
	if p, ok := errors.AsType[*openapi.ParameterError](err); ok {
		return api.FieldErrorf(p.Name, "%s", p.Text)
	}
	if errors.Is(err, openapi.ErrNotJSON) {
		return errNotJSON
	}
	return err
}

// Header fields of Flocker's conditional requests.
const (
	headerTag   = "X-Configuration-Tag"
	headerMatch = "X-If-Configuration-Matches"
)

// headerStale is in the answers of a replica that cannot reach the log: since
// when they show what was last known.
const headerStale = "X-Flocker-Stale-Since"

// headerAttempt says which of a client's attempts at a request this one is: a
// name that it has made up, and a number. See cluster.Attempt.
const headerAttempt = "X-Flocker-Attempt"

// decide has a write decided. One that was sent before bars its earlier attempts
// first.
func (a *rest) decide(r *request, cmd cluster.Command) (Result, error) {
	attempt, err := r.attempt()
	if err != nil {
		return Result{}, err
	}
	if attempt.Number == 0 {
		return a.replica.Do(r.Context(), cmd)
	}
	if attempt.Number > 1 {
		if _, err := a.replica.Do(r.Context(), cluster.Bar{At: a.now(), Attempt: attempt}); err != nil {
			return Result{}, err
		}
	}
	return a.replica.Do(r.Context(), cluster.Once{Attempt: attempt, Command: cmd})
}

// do has a write decided and answers with the dataset.
func (a *rest) do(w http.ResponseWriter, r *request, status int, cmd cluster.Command) error {
	res, err := a.decide(r, cmd)
	if err != nil {
		return err
	}
	reply(w, status, cluster.ConfigurationOf(res.Dataset))
	return nil
}
