package control

import (
	"net/http"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/backup"
)

// backups lets one backup at a time be taken: each has all records in memory.
type backups struct{ busy sync.Mutex }

// getBackup sends a backup of the log, for those who cannot read it while this
// service has it. One that fails on the way has no end.
func (a *rest) getBackup(w http.ResponseWriter, r *request) error {
	if !a.backups.busy.TryLock() {
		return api.Errorf(api.CodeUnavailable, "another backup is being sent: try again when it is done")
	}
	defer a.backups.busy.Unlock()
	b, err := TakeBackup(r.Context(), a.replica.log, a.version, a.now())
	if err != nil {
		return api.Errorf(api.CodeUnavailable, "there is no backup: %v", err)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := backup.Write(&patient{w: w, rc: http.NewResponseController(w)}, b); err != nil {
		a.log.Warn("a backup was not sent to its end", "to", r.RemoteAddr, "cause", err)
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
	return nil
}

// patient gives a client the usual time for each part of a long answer, not for
// all of it.
type patient struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// Write implements io.Writer.
func (p *patient) Write(part []byte) (int, error) {
	if err := p.rc.SetWriteDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, err
	}
	return p.w.Write(part)
}
