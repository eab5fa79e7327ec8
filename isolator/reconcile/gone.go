package reconcile

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// enough is how many successive listings a container must be missing from.
// One can come at a bad moment, such as the Mesos agent's own recovery.
const enough = 2

// Absences counts, for consumers, the successive listings without them.
type Absences map[string]int

// fresh reports whether a consumer was missing for the first time.
func (a Absences) fresh() bool {
	for _, n := range a {
		if n < enough {
			return true
		}
	}
	return false
}

// Gone decides which consumers have ended though nobody said so: Mesos'
// containers that were missing from enough successive listings, came longer
// than the grace ago, and have no living process. It returns them and the
// absences to give to the next call. The consumers must be older than the
// listing. Gone is pure, but for alive, which it asks only of the last suspects.
func Gone(consumers []api.Consumer, live Live, before Absences, now time.Time, grace time.Duration,
	alive func(id string) bool,
) (gone []string, absences Absences) {
	since := make(map[string]time.Time)
	for _, c := range consumers {
		if c.Kind == api.ConsumerMesos && !live.Has(c.ID) && !c.Since.Before(since[c.ID]) {
			since[c.ID] = c.Since
		}
	}
	absences = make(Absences, len(since))
	for _, c := range consumers {
		at, absent := since[c.ID]
		if _, counted := absences[c.ID]; !absent || counted {
			continue
		}
		absences[c.ID] = before[c.ID] + 1
		if absences[c.ID] >= enough && now.Sub(at) > grace && !alive(c.ID) {
			gone = append(gone, c.ID)
		}
	}
	return gone, absences
}
