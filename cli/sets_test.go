package cli_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// member is a volume of a set.
func member(id, set string, index int, m *api.Member) *api.DatasetDetail {
	m.Set, m.Index = set, index
	name := api.MemberName(set, index)
	return &api.DatasetDetail{Status: "detached", Why: "Dataset " + name + " is not in use. It is " + m.String() + ".", Dataset: &api.Dataset{
		ID: api.DatasetID(id), Metadata: map[string]string{api.MetadataName: name}, Size: 20 << 30, FS: api.FSExt4, Created: before(48 * time.Hour),
		Primary: node1, Member: m,
	}}
}

// clusterOfSets has members of two sets beside what there is, in no order.
func clusterOfSets(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	members := []*api.DatasetDetail{
		member("eeeeeeee-0006-4000-8000-000000000006", "kafka", 10, &api.Member{User: &api.MemberUser{
			Node: node2, Consumer: "7a7a7a7a-container", Instance: "kafka.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002", Claim: 42, Since: before(time.Hour),
		}}),
		member("eeeeeeee-0007-4000-8000-000000000007", "kafka", 2, &api.Member{Last: "kafka.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110003"}),
		member("eeeeeeee-0008-4000-8000-000000000008", "zoo", 0, &api.Member{User: &api.MemberUser{
			Node: node1, Consumer: "8b8b8b8b-container", Claim: 43, Since: before(time.Hour),
		}}),
	}
	c.Answer("GET /v1/volumes", http.StatusOK, append(volumes(), members...))
	for _, d := range members {
		c.Answer("GET /v1/volumes/"+d.Dataset.Name(), http.StatusOK, d)
	}
	return c
}

func TestMembersOfASetAreListedByTheirNumbers(t *testing.T) {
	c := clusterOfSets(t)
	out, _, err := c.run(t, "volumes", "list", "--set", "kafka", "-o", "name")
	if want := "kafka.2\nkafka.10\n"; err != nil || out != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	if !slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.Contains(r, "set=kafka") }) {
		t.Errorf("got %q, want the control service to be asked for the set", c.Requests())
	}
	out, _, err = c.run(t, "volumes", "list", "--set", "kafka", "-o", "wide")
	if err != nil || !strings.Contains(out, "kafka, 2, free") || !strings.Contains(out, "kafka, 10, in use") {
		t.Errorf("got %v and\n%s\nwant which members they are, and whether they are in use", err, out)
	}
}

func TestAVolumeOfASetShowsWhoHasIt(t *testing.T) {
	c := clusterOfSets(t)
	for name, want := range map[string]string{
		"kafka.10": "10 of the volume set kafka, of instance kafka.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002 (container 7a7a7a7a-container) since ",
		"kafka.2":  "2 of the volume set kafka, free, last of instance kafka.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110003",
		"zoo.0":    "0 of the volume set zoo, of container 8b8b8b8b-container since ",
	} {
		out, _, err := c.run(t, "volumes", "show", name)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %v and\n%s\nwant %q", name, err, out, want)
		}
	}
}

func TestNamesOfSetsAreCompleted(t *testing.T) {
	c := clusterOfSets(t)
	if got := c.complete(t, "volumes", "list", "--set", "k"); !strings.HasPrefix(got, "kafka\n") || strings.Contains(got, "zoo") {
		t.Errorf("got %q, want kafka alone, once", got)
	}
}
