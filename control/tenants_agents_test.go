package control_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// All that a node can ask of a volume for a container, for every spelling that is not
// the owner's.
func TestNodesGetNothingForStrangers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s, _ := w.connect(nodeA)
	const owner = api.Owner("role:a")
	db, err := s.Claim(ctx, api.ClaimRequest{Find: &api.DatasetSpec{Name: "db"}, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	first := w.member(s, api.MemberRequest{Consumer: "c1", Set: api.DatasetSpec{Name: "kafka"}, Each: 2, Owner: owner}).Dataset
	zero := 0
	claims := map[string]api.ClaimRequest{
		"by name":             {Find: &api.DatasetSpec{Name: "db"}},
		"by id":               {ID: db.ID},
		"by name, pre-empt":   {Find: &api.DatasetSpec{Name: "db"}, Preempt: true},
		"by id, pre-empt":     {ID: db.ID, Preempt: true},
		"a member by name":    {Find: &api.DatasetSpec{Name: first.Name()}},
		"a member by id":      {ID: first.ID},
		"beside the members":  {Find: &api.DatasetSpec{Name: "kafka.7"}},
		"ahead of no hint":    {ID: db.ID, Ahead: true},
		"by the app's name":   {Find: &api.DatasetSpec{Name: "db", App: "/db"}},
		"with its size":       {Find: &api.DatasetSpec{Name: "db", Size: 1 << 30}},
		"with another system": {Find: &api.DatasetSpec{Name: "db", FS: api.FSXFS}},
	}
	members := map[string]api.MemberRequest{
		"any":          {Set: api.DatasetSpec{Name: "kafka"}, Each: 2},
		"as instances": {Set: api.DatasetSpec{Name: "kafka"}, Each: api.EachInstance},
		"the first":    {Set: api.DatasetSpec{Name: "kafka"}, Each: 2, Index: &zero},
		"by its id":    {Set: api.DatasetSpec{Name: "kafka"}, Each: 2, ID: first.ID},
		"another's id": {Set: api.DatasetSpec{Name: "own"}, Each: 2, ID: first.ID},
		"no member":    {Set: api.DatasetSpec{Name: "own"}, Each: 2, ID: db.ID},
	}
	for _, by := range []api.Owner{
		"role:b", "", api.Anyone, api.OwnerUnknown, "user:a", "user:alice", "role:A", "ROLE:a", "role:a ", " role:a", "role: a", "role:a/", "role:a/b", "/a", "role:/a",
		"role:", "role:*", "*a", "a", "role:a\x00", "role:a\n", "role:\u0430", "role:a\u200b", "role:role:a", "role:user:a", "default",
		api.Owner("role:" + strings.Repeat("a", 1<<10)),
	} {
		for name, req := range claims {
			req.Owner = by
			if d, err := s.Claim(ctx, req); err == nil {
				t.Errorf("%q: claim %s: got %s", by, name, d.Name())
			}
		}
		for name, req := range members {
			req.Owner, req.Consumer = by, "stranger"
			if got, err := s.Member(ctx, req); err == nil {
				t.Errorf("%q: member %s: got %+v", by, name, got.Dataset)
			}
		}
	}
	after, err := w.as("user-root").Volumes(ctx, api.VolumeQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range after {
		if d.Dataset.Owner != owner || len(d.Dataset.Waiting) > 0 {
			t.Errorf("got %s of %s, with waiting %v", d.Dataset.Name(), d.Dataset.Owner, d.Dataset.Waiting)
		}
	}
}

// Every operation of REST is refused to a tenant for another one's volume, or is one
// of those that show no volume.
func TestEveryOperationIsClosedToStrangers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d, err := w.as("tenant-alice").Create(ctx, client.CreateRequest{Primary: nodeA, Metadata: map[string]string{"name": "secret"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	bob := w.rawAs("tenant-bob")
	before, err := w.as("user-root").Volume(ctx, "secret")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"era": nodeA, "node_id": nodeA, "owner": "user:bob"}
	tried := 0
	for _, op := range operations(t) {
		path := variable.ReplaceAllStringFunc(op.Pattern, func(v string) string {
			name, _, _ := strings.Cut(strings.Trim(v, "{}"), ":")
			return cmp.Or(values[name], string(d.ID))
		})
		if op.ID == "watch" {
			continue // TestTenantsWatchTheirOwn
		}
		for _, body := range []string{"", `{}`, `{"with":["user:bob"]}`, `{"owner":"user:bob"}`, `{"size":2147483648}`, `{"primary":"` + nodeB + `"}`,
			`{"dataset_id":"` + string(d.ID) + `","primary":"` + nodeA + `"}`, `{"dataset_id":"` + string(d.ID) + `","node_uuid":"` + nodeA + `","expires":null}`,
			`{"tenancy":"shared"}`, `{"volumes":9}`, `{"instance":"i-1"}`, `{"name":"mine"}`} {
			if op.Method == http.MethodGet && body != "" {
				continue
			}
			resp, answer := bob.do(op.Method, path, body)
			if strings.Contains(answer, `"secret"`) || resp.StatusCode == http.StatusTooManyRequests {
				t.Errorf("%s %s %s: got %d %s", op.Method, path, body, resp.StatusCode, answer)
			}
			tried++
		}
	}
	if tried < 150 {
		t.Errorf("tried %d requests only", tried)
	}
	after, err := w.as("user-root").Volume(ctx, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if after.Dataset.Revision != before.Dataset.Revision || after.Lease != nil {
		t.Errorf("a stranger changed it: %+v", after)
	}
}
