package agent

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// maxEvicted bounds how many processes are asked at once to let a volume go.
const maxEvicted = 256

// evict has the processes end that keep a volume which another node preempts:
// asked at first, killed when they had time enough. It returns busy, the failure
// to unmount, with what was done about it; the unmount is tried again.
//
// A process of this very program is never among them.
func (e *engine) evict(d *dataset, seen sight, busy error) error {
	e.mu.Lock()
	if d.asked.IsZero() {
		d.asked = time.Now()
	}
	waited := time.Since(d.asked)
	e.mu.Unlock()
	signal, what := unix.SIGTERM, "asked to end"
	if waited > e.grace {
		signal, what = unix.SIGKILL, "killed"
	}
	users := host.Users(seen.mounted, maxEvicted)
	for _, u := range users {
		if u.ID == unix.Getpid() {
			continue
		}
		e.log.Warn("another node preempts the volume: a process is "+what, "dataset", d.id, "name", nameOf(d.record), "process", u.ID, "command", u.Name)
		if err := unix.Kill(u.ID, signal); err != nil {
			e.log.Warn("could not signal a process", "process", u.ID, "cause", err)
		}
	}
	return fmt.Errorf("%w; another node preempts the volume, %d processes were %s", busy, len(users), what)
}
