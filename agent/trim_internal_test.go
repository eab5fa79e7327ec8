package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Each volume is due once in every interval, whenever the agent looks, and volumes are
// due at different times.
func TestVolumesAreDueOnceAnInterval(t *testing.T) {
	const interval, step = time.Hour, time.Minute
	start := time.Unix(1_700_000_000, 0)
	times := map[int]bool{}
	for i := range 20 {
		id := api.DatasetID(fmt.Sprint("volume-", i))
		due := 0
		for minute := range 240 {
			if isDue(id, interval, start.Add(time.Duration(minute)*step), start.Add(time.Duration(minute+1)*step)) {
				due++
				times[minute%60] = true
			}
		}
		if due != 4 {
			t.Errorf("%s was due %d times in four hours, want 4", id, due)
		}
	}
	if len(times) < 5 {
		t.Errorf("20 volumes are due at %d times", len(times))
	}
}
