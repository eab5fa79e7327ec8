package control_test

import (
	"strings"
	"testing"
)

func TestVolumesAreMeantByAnySpelling(t *testing.T) {
	w := newWorld(t)
	s, err := w.dial(nodeA, hello(nodeA))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.next(s)
	c := w.raw()
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "dataset_id": "`+dataset1+`", "metadata": {"name": "db"}}`, 201, `*`)
	upper, plain := strings.ToUpper(dataset1), strings.ReplaceAll(dataset1, "-", "")
	for _, text := range []string{"db", "name:db", dataset1, upper, plain, "id:" + dataset1, "id:" + upper} {
		c.want("GET", "/v1/volumes/"+text, "", 200, `{"dataset":{"dataset_id":"`+dataset1+`",*`)
		c.want("PATCH", "/v1/volumes/"+text, `{"metadata": {"a": "1"}}`, 200, `*`)
		c.want("DELETE", "/v1/reclaims/"+text, "", 200, `*`)
		c.want("POST", "/v1/shares/"+text, `{"with": ["*"]}`, 200, `*`)
		c.want("POST", "/v1/owners/"+text, `{"owner": "role:web"}`, 200, `*`)
	}
	for _, text := range []string{"id:db", "name:" + dataset1, "x" + dataset1} {
		c.want("GET", "/v1/volumes/"+text, "", 404, `{"code":"not-found"*`)
	}
	for _, prefix := range []string{dataset1[:4], upper[:11], plain[:12], plain} {
		c.want("GET", "/v1/volumes?id="+prefix, "", 200, `[{"dataset":{"dataset_id":"`+dataset1+`",*`)
	}
	for _, node := range []string{nodeA, strings.ToUpper(nodeA), strings.ReplaceAll(nodeA, "-", "")} {
		c.want("GET", "/v1/nodes/"+node, "", 200, `{*"uuid":"`+nodeA+`"*`)
	}

	for _, name := range []string{dataset1, upper, plain, nodeA} {
		c.want("POST", datasets, `{"primary": "`+nodeA+`", "metadata": {"name": "`+name+`"}}`, 400, `*reads as an id*`)
		c.want("PATCH", "/v1/volumes/db", `{"metadata": {"name": "`+name+`"}}`, 400, `*reads as an id*`)
	}
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "metadata": {"FLOCKER_ID": "`+dataset1+`"}}`, 409, `*is the id of dataset db*`)

	c.want("DELETE", datasets+"/"+dataset1, "", 200, `*`)
	c.want("GET", "/v1/volumes/db", "", 200, `{"dataset":{"dataset_id":"`+dataset1+`",*"status":"deleting",*`)
	c.want("DELETE", "/v1/reclaims/db", "", 405, `{"code":"deleted",*`)
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "metadata": {"name": "db"}}`, 201, `*`)
	c.want("GET", "/v1/volumes/db", "", 200, `{*"status":"preparing",*`)
}
