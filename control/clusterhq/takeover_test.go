package clusterhq_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/clusterhq"
)

var at = time.Date(2026, 11, 25, 7, 0, 0, 0, time.UTC)

func options() clusterhq.Options {
	return clusterhq.Options{Cluster: "0c0ffee0-1111-4222-8333-444455556666", At: at, Backend: "aws"}
}

func parsed(t *testing.T, change ...func(object)) *clusterhq.Configuration {
	t.Helper()
	c, err := clusterhq.Parse(file(t, 6, change...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkTakeover loads what was made, as a control service does.
func checkTakeover(t *testing.T, takeover *clusterhq.Takeover) *cluster.State {
	t.Helper()
	s := cluster.New()
	names := map[string]bool{}
	for _, c := range takeover.Changes {
		value, err := cluster.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutStored(c.Key, value); err != nil {
			t.Fatal(err)
		}
		if c.Dataset == nil {
			continue
		}
		if name := c.Dataset.Name(); name != "" && !c.Dataset.Deleted {
			if names[name] {
				t.Errorf("two live datasets are called %s", name)
			}
			names[name] = true
		}
		if c.Dataset.Size < api.MinSize || c.Dataset.Revision > takeover.Revision {
			t.Errorf("got dataset %+v", c.Dataset)
		}
	}
	return s
}

func TestPrimariesHoldTheirDatasets(t *testing.T) {
	takeover, err := parsed(t).TakeOver(options())
	if err != nil {
		t.Fatal(err)
	}
	s := checkTakeover(t, takeover)
	if m := s.Meta(); m.Cluster != options().Cluster || !m.Created.Equal(at) {
		t.Errorf("meta: got %+v", m)
	}
	d := s.Dataset(db)
	if !d.HeldBy(nodeA) || d.Primary != nodeA || !d.Pinned || d.Deleted || d.Size != 1<<30 || d.MaximumSize != 1<<30 || d.FS != api.FSExt4 {
		t.Errorf("db: got %+v", d)
	}
	if v := d.Volume; v == nil || v.ID != "vol-0a1b" || v.Backend != "aws" {
		t.Errorf("db's volume: got %+v", v)
	}
	if d := s.Dataset(queue); d.Volume != nil || d.Size != 75<<30 || d.MaximumSize != 0 {
		t.Errorf("queue: got %+v, want Flocker's default size", d)
	}
	if d := s.Dataset(gone); !d.Deleted || d.Destroyed || !d.HeldBy(nodeA) || d.Volume == nil || d.Pinned {
		t.Errorf("gone: got %+v, want its node to look after what is left of it", d)
	}
	if l := s.Lease(queue); !l.HeldBy(nodeB) || !l.Expires.IsZero() || l.Revision > takeover.Revision || !l.Acquired.Equal(at) {
		t.Errorf("queue's lease: got %+v", l)
	}
	if l := s.Lease(db); l != nil || len(takeover.Expired) != 1 || takeover.Expired[0].Dataset != db {
		t.Errorf("db's lease: got %+v, left out %+v, want it left out since it has expired", l, takeover.Expired)
	}
	if n := s.Node(nodeA); n == nil || !n.NeverCame() || n.Connected {
		t.Errorf("node: got %+v, want one that never came", n)
	}
	// Nobody gets what a node holds before its agent has come.
	connected, err := cluster.NodeConnect{At: at, Node: nodeB, Hello: api.Hello{Agent: "b", Era: "era", Backend: "aws"}}.Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	next := s.Clone()
	next.Put(connected.Changes...)
	out, err := cluster.Claim{At: at, Node: nodeB, Stream: 1, ID: db}.Apply(next)
	if err != nil || !out.Dataset.HeldBy(nodeA) || !out.Dataset.AwaitedBy(nodeB) || out.Dataset.Fence != nil {
		t.Errorf("claimed by another node: got %+v, %v, want it to wait", out.Dataset, err)
	}
}

func TestNumbersAreHigherWhenItIsTakenOverAgain(t *testing.T) {
	first, err := parsed(t).TakeOver(options())
	if err != nil {
		t.Fatal(err)
	}
	later := options()
	later.At = at.Add(time.Hour)
	again, err := parsed(t).TakeOver(later)
	if err != nil {
		t.Fatal(err)
	}
	if again.Revision <= first.Revision+1000 || again.Datasets[0].Epoch <= first.Datasets[0].Epoch+1000 {
		t.Errorf("got revision %d after %d, epoch %d after %d", again.Revision, first.Revision, again.Datasets[0].Epoch, first.Datasets[0].Epoch)
	}
}

func TestVolumesNeedTheNameOfTheirBackend(t *testing.T) {
	o := options()
	o.Backend = ""
	if _, err := parsed(t).TakeOver(o); err == nil || !strings.Contains(err.Error(), "--backend") {
		t.Errorf("got %v, want it to ask for the backend", err)
	}
	without := parsed(t, func(d object) {
		d["persistent_state"] = class("PersistentState", object{"blockdevice_ownership": pmap()})
	})
	if _, err := without.TakeOver(o); err != nil {
		t.Errorf("without volumes: %v", err)
	}
}

func TestMetadataThatCannotBeKeptIsRefusedWithItsPlace(t *testing.T) {
	c := parsed(t, replaceNodes(node(6, nodeA, manifestation(dataset(db, strings.Repeat("x", 300), nil, false)))))
	_, err := c.TakeOver(options())
	if err == nil || !strings.Contains(err.Error(), "deployment.nodes.values[0][1].manifestations.values[0][1].dataset: ") {
		t.Errorf("got %v, want the place", err)
	}
}

// twins are two live datasets of one name, of which the first has a volume.
func twins(t *testing.T) *clusterhq.Configuration {
	return parsed(t, replaceNodes(node(6, nodeA, manifestation(dataset(db, "db", 1<<30, false))),
		node(6, nodeB, manifestation(dataset(queue, "db", nil, false)), manifestation(dataset(gone, "db", nil, true)))))
}

func TestNamesOfSeveralDatasetsAreRefusedWithTheRemedy(t *testing.T) {
	_, err := twins(t).TakeOver(options())
	duplicates, ok := errors.AsType[*clusterhq.DuplicatesError](err)
	if !ok || len(duplicates.Names["db"]) != 2 {
		t.Fatalf("got %v, want the two live ones called db", err)
	}
	for _, want := range []string{db + "  1GiB, on node " + nodeA + ", volume vol-0a1b", queue + "  no size asked", "--rename '" + queue + "=db-bbbbbbbb'"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "--rename '"+db) {
		t.Errorf("got %v, which renames the one with a volume", err)
	}
}

func TestDatasetsAreRenamed(t *testing.T) {
	for name, tt := range map[string]struct {
		change     func(*clusterhq.Options)
		db, queue  string // names
		wantFailed string
	}{
		"one by its id":       {func(o *clusterhq.Options) { o.Rename = map[api.DatasetID]string{queue: "other"} }, "db", "other", ""},
		"the one with volume": {func(o *clusterhq.Options) { o.Rename = map[api.DatasetID]string{db: "old"} }, "old", "db", ""},
		"others":              {func(o *clusterhq.Options) { o.RenameOthers = true }, "db", "db-bbbbbbbb", ""},
		"to the same name":    {func(o *clusterhq.Options) { o.Rename = map[api.DatasetID]string{queue: "x", db: "x"} }, "", "", "have the same name"},
		"of no dataset":       {func(o *clusterhq.Options) { o.Rename = map[api.DatasetID]string{"e": "x"} }, "", "", "no dataset e"},
		"to no name":          {func(o *clusterhq.Options) { o.Rename = map[api.DatasetID]string{db: "a\nb"} }, "", "", "control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			tt.change(&o)
			takeover, err := twins(t).TakeOver(o)
			if tt.wantFailed != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantFailed) {
					t.Errorf("got %v, want %q", err, tt.wantFailed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := checkTakeover(t, takeover)
			if got := s.Dataset(db).Name(); got != tt.db {
				t.Errorf("the first: got name %s, want %s", got, tt.db)
			}
			if got := s.Dataset(queue).Name(); got != tt.queue {
				t.Errorf("the second: got name %s, want %s", got, tt.queue)
			}
		})
	}
}

func TestOthersAreNotRenamedWhereItIsNotClearWhich(t *testing.T) {
	c := twins(t)
	for i := range c.Datasets {
		c.Datasets[i].Volume = "vol-" + c.Datasets[i].ID
	}
	o := options()
	o.RenameOthers = true
	if _, err := c.TakeOver(o); err == nil || !strings.Contains(err.Error(), "have the same name") {
		t.Errorf("two have volumes: got %v, want it refused", err)
	}
}
