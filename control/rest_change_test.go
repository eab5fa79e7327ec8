package control_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestVolumesAreChanged(t *testing.T) {
	w := newWorld(t)
	h := hello(nodeA)
	h.Capabilities = []string{api.CapabilityGrow}
	s, err := w.dial(nodeA, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.next(s)
	c := w.raw()
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`", "maximum_size": 1073741824, "metadata": {"name": "db", "a": "1"}}`, 201, `*`)
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "metadata": {"name": "other"}}`, 201, `*`)
	tag := c.want("GET", datasets, "", 200, `*`).Header.Get("X-Configuration-Tag")
	const db = "/v1/volumes/db"

	c.want("PATCH", db, `{"size": 2147483648, "metadata": {"a": null, "b": "2"}}`, 200, `{"dataset":{*"metadata":{"b":"2","name":"db"},"maximum_size":2147483648,"size":2147483648*`)
	c.want("GET", datasets, "", 200, `*"metadata":{"b":"2","name":"db"},"maximum_size":2147483648}*`)
	c.want("PATCH", db, `{"metadata": {"b": "3"}}`, 412, `{"code":"precondition",*`, "X-If-Configuration-Matches", tag)
	c.want("PATCH", db, `{"nonsense": 1}`, 412, `{"code":"precondition",*`, "X-If-Configuration-Matches", tag)
	c.want("PATCH", db, `{"size": 2147483648}`, 200, `*`)

	c.want("PATCH", db, `{"size": 1073741824}`, 200, `{"dataset":{*"maximum_size":1073741824,"size":1073741824*`) // it was never made
	c.want("PATCH", db, `{"size": 3000000000}`, 400, oursMistaken+`"size: 3000000000 is not a multiple of 1024"]}`)
	c.want("PATCH", db, `{"size": null}`, 400, oursMistaken+`"size: null is not of type 'integer'"]}`)
	c.want("PATCH", db, `{}`, 400, oursMistaken+`"{} has no entry, and needs 1"]}`)
	c.want("PATCH", db, `{"primary": "`+nodeB+`"}`, 400, oursMistaken+`"Additional properties are not allowed ('primary' was unexpected)"]}`)
	c.want("PATCH", db, `{"metadata": {"name": "other"}}`, 409, `{"code":"conflict","field":"metadata","description":"the name \"other\" is taken*`)
	c.want("PATCH", "/v1/volumes/nothing", `{"size": 2147483648}`, 404, `{"code":"not-found"*`)
	c.want("PATCH", db, `{"metadata": {"name": "team/db"}}`, 200, `*`)
	c.want("PATCH", db, `{"metadata": {"c": "4"}}`, 404, `*`)
	c.want("PATCH", "/v1/volumes/team/db", `{"metadata": {"c": "4"}}`, 200, `*`)
	c.want("DELETE", datasets+"/"+dataset1, "", 200, `*`)
	c.want("PATCH", "/v1/volumes/"+dataset1, `{"size": 4294967296}`, 405, `{"code":"deleted",*`)

	change := api.VolumeChange{Metadata: map[string]*string{"owner": new("ops")}}
	d, err := w.user().ChangeVolume(t.Context(), "other", change, "")
	if err != nil || d.Dataset.Metadata["owner"] != "ops" {
		t.Errorf("client: got %+v, %v", d, err)
	}
}
