package control_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// listed returns the names of the datasets that a client gets for a query.
func (w *world) listed(q api.VolumeQuery) string {
	w.Helper()
	all, err := w.user().Volumes(w.Context(), q)
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Dataset.Name())
	}
	return strings.Join(names, " ")
}

func TestVolumesAreChosenByAQuery(t *testing.T) {
	w := newWorld(t)
	user := w.user()
	for i, name := range []string{"a", "b", "c", "d"} {
		node := api.NodeID(nodeA)
		if i%2 == 1 {
			node = nodeB
		}
		req := client.CreateRequest{
			ID: api.DatasetID(fmt.Sprintf("a%c000000-0001-4000-8000-000000000001", 'a'+i)), Primary: node,
			Metadata: map[string]string{"name": name, "team": fmt.Sprint(i / 2), "empty": ""},
		}
		if _, err := user.Create(t.Context(), req, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := user.Delete(t.Context(), "ad000000-0001-4000-8000-000000000001", ""); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		query api.VolumeQuery
		want  string
	}{
		{api.VolumeQuery{}, "a b c"},
		{api.VolumeQuery{Gone: true}, "a b c d"},
		{api.VolumeQuery{Name: "b"}, "b"},
		{api.VolumeQuery{Name: "d"}, ""},
		{api.VolumeQuery{Name: "d", Gone: true}, "d"},
		{api.VolumeQuery{Name: "b", Node: nodeA}, ""},
		{api.VolumeQuery{ID: "ab"}, "b"},
		{api.VolumeQuery{ID: "AB00"}, "b"},
		{api.VolumeQuery{ID: "a"}, "a b c"},
		{api.VolumeQuery{ID: "ac000000-0001-4000-8000-000000000001"}, "c"},
		{api.VolumeQuery{ID: "b"}, ""},
		{api.VolumeQuery{ID: "0"}, ""},
		{api.VolumeQuery{Node: nodeA}, "a c"},
		{api.VolumeQuery{Node: nodeB, Gone: true}, "b d"},
		{api.VolumeQuery{Status: "waiting"}, "a b c"},
		{api.VolumeQuery{Status: "mounted"}, ""},
		{api.VolumeQuery{Status: "destroyed"}, "d"},
		{api.VolumeQuery{Metadata: map[string]string{"team": "0"}}, "a b"},
		{api.VolumeQuery{Metadata: map[string]string{"team": "1", "empty": ""}}, "c"},
		{api.VolumeQuery{Metadata: map[string]string{"nothing": ""}}, ""},
	} {
		if got := w.listed(tc.query); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.query, got, tc.want)
		}
	}
	c := w.raw()
	c.want("GET", "/v1/volumes?status=sick", "", 400, `{"code":"invalid","field":"status","description":"\"sick\" is none of destroyed*`)
	c.want("GET", "/v1/volumes?sattus=mounted", "", 400, `{"code":"invalid","field":"sattus","description":"is no parameter of GET /v1/volumes: there are name,*`)
}

var nextLink = regexp.MustCompile(`^<(/v1/volumes\?[^>]+)>; rel="next"$`)

func TestListComesInPages(t *testing.T) {
	const total = 7
	w := newWorld(t)
	var want []string
	for range total {
		d, err := w.user().Create(t.Context(), client.CreateRequest{Primary: nodeA}, "")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(d.ID))
	}
	slices.Sort(want)
	c := w.raw()
	for limit := 1; limit <= total+1; limit++ {
		var got []string
		path, pages := fmt.Sprintf("/v1/volumes?node=%s&limit=%d", nodeA, limit), 0
		for path != "" {
			resp, text := c.do(http.MethodGet, path, "")
			ids := regexp.MustCompile(`"dataset":\{"dataset_id":"([^"]+)"`).FindAllStringSubmatch(text, -1)
			if len(ids) > limit {
				t.Errorf("a page of %d has %d", limit, len(ids))
			}
			for _, id := range ids {
				got = append(got, id[1])
			}
			pages++
			path = ""
			if link := resp.Header.Get("Link"); link != "" {
				m := nextLink.FindStringSubmatch(link)
				if m == nil {
					t.Fatalf("got link %q", link)
				}
				path = m[1]
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: got %v, want %v", limit, got, want)
		}
		if most := (total + limit - 1) / limit; pages != most {
			t.Errorf("in pages of %d: got %d pages, want %d", limit, pages, most)
		}
	}
}

func TestBackendsAreListed(t *testing.T) {
	w := newWorld(t)
	c := w.raw()
	c.want("GET", "/v1/backends", "", 200, `[]`)
	for _, n := range []struct {
		node, backend string
		can           []string
	}{{nodeA, "ebs", []string{"grow", "witness"}}, {nodeB, "ebs", []string{"stop", "grow"}}} {
		h := hello(n.node)
		h.Backend, h.Capabilities, h.AllocationUnit = n.backend, n.can, 1<<30
		s, err := w.dial(n.node, h)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		w.next(s)
	}
	c.want("GET", "/v1/backends", "", 200, `[{"name":"ebs","allocation_unit":1073741824,"capabilities":["grow"],"nodes":["`+nodeA+`","`+nodeB+`"],"volumes":0,"bytes":0}]`)
	all, err := w.user().Backends(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "ebs" {
		t.Errorf("client: got %+v, %v", all, err)
	}
}
