package control_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/api/client"
)

// What a client sent to a replica that did not answer, and then to another one,
// changes nothing when the first one comes to it at last.
func TestAttemptThatArrivesLateChangesNothing(t *testing.T) {
	worlds, _ := newReplicas(t, 2)
	stuck, other := worlds[0].raw(), worlds[1].raw()
	if _, err := worlds[1].user().Create(t.Context(), client.CreateRequest{ID: dataset1, Primary: nodeA}, ""); err != nil {
		t.Fatal(err)
	}
	const path, field = datasets + "/" + dataset1, "X-Flocker-Attempt"
	toB, toA := `{"primary": "`+nodeB+`"}`, `{"primary": "`+nodeA+`"}`
	other.want("POST", path, toB, 200, `*"primary":"`+nodeB+`"*`, field, "r 2")
	other.want("POST", path, toA, 200, `*"primary":"`+nodeA+`"*`, field, "s 1")
	eventually(t, "the other replica knows", func() bool {
		d, err := worlds[0].user().Volume(t.Context(), dataset1)
		return err == nil && d.Dataset.Revision >= 4
	})
	stuck.want("POST", path, toB, 409, `{"description":"the request was made again meanwhile*`, field, "r 1")
	stuck.want("DELETE", path, "", 409, `{"description":"the request was made again meanwhile*`, field, "r 1")
	other.want("GET", datasets, "", 200, `*"primary":"`+nodeA+`","deleted":false*`)
	stuck.want("POST", path, toB, 200, `*`, field, "s 1") // what was not made again may come at any time
	for _, wrong := range []string{"r", "r x", "r 0", " 1"} {
		stuck.want("POST", path, toB, 400, `{"description":"X-Flocker-Attempt: *`, field, wrong)
	}
}
