package openapi_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/flocker-mesos/flocker/control/openapi"
)

func load(t testing.TB) *openapi.Document {
	t.Helper()
	d, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func operation(t testing.TB, id string) *openapi.Operation {
	t.Helper()
	for _, op := range load(t).Operations() {
		if op.ID == id {
			return op
		}
	}
	t.Fatalf("there is no operation %s", id)
	return nil
}

func TestDocumentIsOpenAPI31(t *testing.T) {
	doc, err := libopenapi.NewDocument(load(t).JSON())
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s", e.Message, e.Reason)
			for _, s := range e.SchemaValidationErrors {
				t.Errorf("  %+v", s)
			}
		}
	}
}

func TestMistakesInBodiesAreNamed(t *testing.T) {
	const primary = `"primary": "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"`
	for _, tc := range []struct{ operation, body, want string }{
		{"createDataset", `{` + primary + `}`, ``},
		{"createDataset", `{` + primary + `, "maximum_size": 67108864, "metadata": {"name": "db"}}`, ``},
		{"createDataset", `{` + primary + `, "maximum_size": null, "deleted": false}`, ``},
		{"createDataset", ``, `the body is not JSON`},
		{"createDataset", `{} {}`, `the body is not JSON`},
		{"createDataset", "{\"primary\": \"\xff\"}", `the body is not JSON`},
		{"createDataset", `null`, `null is not of type 'object'`},
		{"createDataset", `{}`, `'primary' is a required property`},
		{"createDataset", `{"primary": null}`, `primary: null is not of type 'string'`},
		{"createDataset", `{"primary": "x"}`, `primary: "x" is not a version 4 UUID`},
		{"createDataset", `{` + primary + `, "a": 1, "b": 2}`, `Additional properties are not allowed ('a', 'b' were unexpected)`},
		{"createDataset", `{` + primary + `, "deleted": true}`, `deleted: true is not false`},
		{"createDataset", `{` + primary + `, "maximum_size": 67108864.0}`, `maximum_size: 67108864.0 is not of type 'integer'`},
		{"createDataset", `{` + primary + `, "maximum_size": 1e9}`, `maximum_size: 1e9 is not of type 'integer'`},
		{"createDataset", `{` + primary + `, "maximum_size": true}`, `maximum_size: true is not of type 'integer' or 'null'`},
		{"createDataset", `{` + primary + `, "maximum_size": 1180591620717411303424}`, `maximum_size: 1180591620717411303424 is out of range`},
		{"createDataset", `{` + primary + `, "maximum_size": 1000}`,
			`maximum_size: 1000 is less than the minimum of 67108864; maximum_size: 1000 is not a multiple of 1024`},
		{"createDataset", `{` + primary + `, "metadata": {"a": 1, "": "x"}}`,
			`metadata.a: 1 is not of type 'string'; metadata: the key "" has 0 characters, less than the 1 that are needed`},
		{"createDataset", `{` + primary + `, "metadata": {"a\nb": "x"}}`, `metadata: the key "a\nb" is not without a line break`},
		{"changeVolume", `{}`, `{} has no entry, and needs 1`},
		{"changeVolume", `{"size": 2147483648, "metadata": {"a": null}}`, ``},
		{"changeVolume", `{"size": 1073741824, "metadata": {"": "x", "b": 1}}`,
			`metadata.b: 1 is not of type 'string' or 'null'; metadata: the key "" has 0 characters, less than the 1 that are needed`},
		{"changeVolume", `{"metadata": {"": "x"}}`, `metadata: the key "" has 0 characters, less than the 1 that are needed`},
		{"changeVolume", `{"size": 1e999}`, `size: 1e999 is not of type 'integer'`},
		{"setQuota", `{"bytes": 134217728.0}`, `bytes: 134217728.0 is not of type 'integer'`},
		{"setQuota", `{"volumes": 1e2}`, `volumes: 1e2 is not of type 'integer'`},
		{"changeVolume", `{"size": 134217728.0}`, `size: 134217728.0 is not of type 'integer'`},
		{"changeVolume", `{"size": 1e999999}`, `the number 1e999999 is out of range`},
		{"changeVolume", `{"size": [{"x": -1E-1000}]}`, `the number -1E-1000 is out of range`},
		{"changeVolume", `{"size": null}`, `size: null is not of type 'integer'`},
		{"acquireLease", `{"dataset_id": "x", "node_uuid": 1, "expires": "1"}`,
			`dataset_id: "x" is not a UUID of 36 characters; expires: "1" is not of type 'number' or 'null'; node_uuid: 1 is not of type 'string'`},
	} {
		got := ""
		if err := operation(t, tc.operation).CheckBody([]byte(tc.body)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tc.operation, tc.body, got, tc.want)
		}
	}
}

func TestMistakesInParametersAreNamed(t *testing.T) {
	for _, tc := range []struct {
		operation, query string
		path             map[string]string
		want             string
	}{
		{operation: "listVolumes"},
		{operation: "listVolumes", query: "limit=10&status=mounted&deleted=true&metadata=a=b&metadata=c="},
		{operation: "listVolumes", query: "limit=0", want: `limit: 0 is less than the minimum of 1`},
		{operation: "listVolumes", query: "limit=ten", want: `limit: "ten" is not of type 'integer'`},
		{operation: "listVolumes", query: "limit=1&limit=2", want: `limit: is given 2 times, and can be given once`},
		{operation: "listVolumes", query: "status=sick", want: `status: "sick" is none of destroyed, deleting, fencing, unreachable, failing, waiting, mounted, preparing, releasing, detached`},
		{operation: "listVolumes", query: "deleted=yes", want: `deleted: "yes" is not of type 'boolean'`},
		{operation: "listVolumes", query: "metadata=a", want: `metadata: 0: "a" is not KEY=VALUE`},
		{operation: "listVolumes", query: "node=x", want: `node: "x" is not a version 4 UUID`},
		{operation: "listVolumes", query: "stauts=mounted",
			want: `stauts: is no parameter of GET /v1/volumes: there are name, id, status, node, metadata, set, deleted, limit, after`},
		{operation: "listNodes", query: "x=", want: `x: is no parameter of GET /v1/nodes, which has none`},
		{operation: "listVolumes", query: "name=%ff", want: `name: ["\xff"] is not UTF-8`},
		{operation: "listDatasets", query: "whatever=1"}, // as in Flocker
		{operation: "getNodeByEra", path: map[string]string{"era": "5678"}, want: `era: "5678" is not a UUID`},
		{operation: "getNodeByEra", path: map[string]string{"era": "56780F44049941539352 92344b180021"}, want: `era: "56780F44049941539352 92344b180021" is not a UUID`},
		{operation: "getNodeByEra", path: map[string]string{"era": "56780F4404994153935292344b180021"}},
	} {
		query, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := operation(t, tc.operation).CheckParameters(tc.path, query); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s %s %v:\ngot  %s\nwant %s", tc.operation, tc.query, tc.path, got, tc.want)
		}
	}
}

func TestAnswersAreHeldAgainstTheDocument(t *testing.T) {
	op := operation(t, "getVersion")
	for _, tc := range []struct {
		status     int
		kind, body string
		ok         bool
	}{
		{200, "application/json", `{"flocker": "1"}`, true},
		{200, "application/json", `{"flocker": "1", "x": 1}`, false},
		{200, "application/json", `{`, false},
		{200, "text/html", `{"flocker": "1"}`, false},
		{201, "application/json", `{"flocker": "1"}`, false},
		{503, "application/json", `{"description": "x"}`, true},
		{503, "application/json", `{"code": "unavailable", "description": "x"}`, false},
	} {
		if err := op.CheckAnswer(tc.status, tc.kind, []byte(tc.body)); (err == nil) != tc.ok {
			t.Errorf("%d %s %s: got %v", tc.status, tc.kind, tc.body, err)
		}
	}
}

func FuzzBodies(f *testing.F) {
	ops := load(f).Operations()
	for _, body := range []string{``, `{}`, `null`, `{"primary": "x", "metadata": {"a": 1}}`, `{"size": 1e400}`, `[[[[`, "{\"\xff\":1}"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range ops {
			err := op.CheckBody(body)
			mistakes, ok := errors.AsType[*openapi.BodyError](err)
			if err != nil && !ok && !errors.Is(err, openapi.ErrNotJSON) {
				t.Errorf("%s: got %v", op.ID, err)
			}
			if ok && len(mistakes.Mistakes) == 0 {
				t.Errorf("%s: refused for no reason", op.ID)
			}
		}
	})
}
