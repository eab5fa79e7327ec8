package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestTrimTellsAFailureAsOne(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome api.TrimState
		want    string
		bad     string
	}{
		"trimmed":  {api.TrimState{Number: 3, Bytes: 3 << 20}, "queue: 3145728 bytes (3 MiB) trimmed", "Error"},
		"an error": {api.TrimState{Number: 3, Error: "the device cannot discard"}, "the device cannot discard", "queue is trimmed.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			d := stage("mounted", func(d *api.DatasetDetail) {
				d.Dataset.Trim = &api.Trim{Number: 3}
				d.State = &api.DatasetState{ID: d.Dataset.ID, Trim: &tt.outcome}
			})
			c.becomes(queueID, d)
			c.Do("POST /v1/trims/id:"+queueID, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, d) })
			out, errs, err := c.run(t, "volumes", "trim", queueID)
			all := out + errs
			if err != nil {
				all += "Error: " + err.Error()
			}
			if !strings.Contains(all, tt.want) || strings.Contains(all, tt.bad) {
				t.Errorf("got %s, want %q in it, and not %q", all, tt.want, tt.bad)
			}
			if (err == nil) != (tt.outcome.Error == "") {
				t.Errorf("got %v", err)
			}
		})
	}
}
