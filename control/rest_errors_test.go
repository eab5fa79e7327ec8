package control_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// Flocker 1.15 has two keys in an error's body. The code and the field are in
// the header on its paths, and in the body too on all others.
func TestErrorsOnFlockersPathsHaveOnlyFlockersKeys(t *testing.T) {
	c := flockersCluster(t)
	c.want("POST", datasets, `{"primary": "`+nodeA+`", "metadata": {"name": "db"}}`, 201, `*`)
	const one, gone = datasets + "/" + dataset1, datasets + "/" + dataset2
	reader := c.rawAs("reader-dashboard")
	for _, tc := range []struct {
		name, method, path, body string
		header                   []string
		as                       *caller
		status                   int
		code                     api.Code
		field                    string
		keys                     []string
	}{
		{"the body is not JSON", "POST", datasets, `{`, nil, c, 400, api.CodeInvalid, "", []string{"description"}},
		{"the body is another schema's", "POST", datasets, `{}`, nil, c, 400, api.CodeInvalid, "", []string{"description", "errors"}},
		{"the body is too large", "POST", datasets, strings.Repeat(" ", 1<<20) + "{}", nil, c, 413, api.CodeInvalid, "", []string{"description"}},
		{"the size is larger than allowed", "POST", datasets, `{"primary": "` + nodeA + `", "maximum_size": 9007199254740992}`, nil, c, 400,
			api.CodeInvalid, "maximum_size", []string{"description"}},
		{"the user is wrong", "POST", datasets, `{"primary": "` + nodeA + `", "user": "root"}`, nil, c, 400, api.CodeInvalid, "user", []string{"description"}},
		{"the id is taken", "POST", datasets, `{"primary": "` + nodeA + `", "dataset_id": "` + dataset1 + `"}`, nil, c, 409, api.CodeConflict, "", []string{"description"}},
		{"the name is taken", "POST", datasets, `{"primary": "` + nodeA + `", "metadata": {"name": "db"}}`, nil, c, 409, api.CodeConflict, "metadata", []string{"description"}},
		{"the tag is another", "POST", one, `{}`, []string{"X-If-Configuration-Matches", "x"}, c, 412, api.CodePrecondition, "", []string{"description"}},
		{"the attempt is late", "DELETE", one, ``, []string{"X-Flocker-Attempt", "r"}, c, 400, api.CodeInvalid, "X-Flocker-Attempt", []string{"description"}},
		{"no such dataset", "DELETE", datasets + "/x", ``, nil, c, 404, api.CodeNotFound, "", []string{"description"}},
		{"the dataset is deleted", "POST", gone, `{}`, nil, c, 405, api.CodeDeleted, "", []string{"description"}},
		{"another lease", "POST", leases, leaseBody(dataset1, nodeB, "30"), nil, c, 409, api.CodeConflict, "", []string{"description"}},
		{"no lease", "DELETE", leases + "/" + dataset2, ``, nil, c, 404, api.CodeNotFound, "", []string{"description"}},
		{"no UUID", "DELETE", leases + "/x", ``, nil, c, 400, api.CodeInvalid, "dataset_id", []string{"description"}},
		{"no era", "GET", "/v1/state/nodes/by_era/x", ``, nil, c, 400, api.CodeInvalid, "era", []string{"description"}},
		{"a container", "POST", "/v1/configuration/containers", `{}`, nil, c, 410, api.CodeInvalid, "", []string{"description"}},
		{"a composition", "POST", "/v1/configuration/_compose", `{}`, nil, c, 410, api.CodeInvalid, "", []string{"description"}},
		{"another method", "PUT", datasets, ``, nil, c, 405, api.CodeInvalid, "", []string{"description"}},
		{"no such path", "GET", "/v1/configuration/datasets/", ``, nil, c, 404, api.CodeNotFound, "", []string{"description"}},
		{"a reader writes", "DELETE", one, ``, nil, reader, 403, api.CodeForbidden, "", []string{"description"}},

		{"on a path of ours", "GET", "/v1/volumes/nothing", ``, nil, c, 404, api.CodeNotFound, "", []string{"code", "description"}},
		{"on a path of ours about a field", "GET", "/v1/volumes?status=sick", ``, nil, c, 400, api.CodeInvalid, "status", []string{"code", "description", "field"}},
		{"another method on a path of ours", "PUT", "/v1/volumes", ``, nil, c, 405, api.CodeInvalid, "", []string{"code", "description"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, text := tc.as.do(tc.method, tc.path, tc.body, tc.header...)
			var body map[string]any
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatalf("got %s: %v", text, err)
			}
			if keys := slices.Sorted(maps.Keys(body)); resp.StatusCode != tc.status || !slices.Equal(keys, tc.keys) {
				t.Errorf("got %d %s, want %d and the keys %v", resp.StatusCode, text, tc.status, tc.keys)
			}
			if code, field := resp.Header.Get(api.HeaderError), resp.Header.Get(api.HeaderErrorField); code != string(tc.code) || field != tc.field {
				t.Errorf("got code %q and field %q in the header, want %q and %q", code, field, tc.code, tc.field)
			}
		})
	}
}
