package cluster_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func TestRecordsOfANewerVersionAreLeftAlone(t *testing.T) {
	s := cluster.New()
	err := s.PutStored("datasets/d", []byte(`{"schema":7,"record":[1,2,3]}`))
	newer, ok := errors.AsType[*cluster.NewerError](err)
	if !ok || newer.Schema != 7 || newer.Key != "datasets/d" {
		t.Fatalf("got %v, want a NewerError of schema 7", err)
	}
	if err := s.PutStored("grants/g", []byte(`anything`)); err == nil {
		t.Error("a record of an unknown kind was not reported")
	}
	b := &bench{t: t, s: s, now: time.Now()}
	b.connect("a")
	b.refused(cluster.Create{At: b.now, ID: "e", Primary: "a", DefaultSize: api.MinSize}, api.CodeUnavailable, "update it")
	b.refused(b.find("a", api.DatasetSpec{Name: "new"}), api.CodeUnavailable, "update it")
	b.refused(cluster.Move{ID: "d", Primary: "a"}, api.CodeUnavailable, "schema 7")

	// Once it is rewritten in a schema that is known, all is well.
	value, err := cluster.Encode(cluster.Change{Key: "datasets/d", Dataset: &api.Dataset{
		ID: "d", Primary: "a", Size: api.MinSize, FS: api.FSExt4, Created: b.now, Revision: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	next := b.s.Clone()
	if err := next.PutStored("datasets/d", value); err != nil {
		t.Fatal(err)
	}
	b.s = next
	b.create("e", "a", "db")
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		key   cluster.Key
		value string
	}{
		"not JSON":            {"datasets/d", `{"schema":1,"rec`},
		"no schema":           {"datasets/d", `{"record":{"dataset_id":"d"}}`},
		"of another key":      {"datasets/d", `{"schema":1,"record":{"dataset_id":"e"}}`},
		"without id":          {"nodes/", `{"schema":1,"record":{}}`},
		"of the wrong type":   {"datasets/d", `{"schema":1,"record":{"dataset_id":"d","size":"big"}}`},
		"holder of old epoch": {"datasets/d", `{"schema":1,"record":{"dataset_id":"d","epoch":2,"holder":{"node":"a","epoch":1}}}`},
		"waiting for nobody":  {"datasets/d", `{"schema":1,"record":{"dataset_id":"d","waiting":[{"node":"a"}]}}`},
		"a lease of nobody":   {"leases/d", `{"schema":3,"record":{"dataset_id":"d"}}`},
		"no cluster":          {"meta", `{"schema":1,"record":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster.New()
			err := s.PutStored(tc.key, []byte(tc.value))
			if err == nil {
				t.Fatal("it was taken")
			}
			if _, newer := errors.AsType[*cluster.NewerError](err); newer {
				t.Errorf("got %v, want it damaged, not newer", err)
			}
			if len(dump(s)) > 0 {
				t.Errorf("it left %v", dump(s))
			}
		})
	}
}

func TestNamesAreRightInWhateverOrderChangesCome(t *testing.T) {
	dead := &api.Dataset{ID: "z", Primary: "a", Deleted: true, Metadata: map[string]string{"name": "db"}, Revision: 2}
	alive := dead.Clone()
	alive.Deleted, alive.Revision = false, 1
	heir := &api.Dataset{ID: "b", Primary: "a", Metadata: map[string]string{"name": "db"}, Revision: 3}

	s := cluster.New()
	s.Put(cluster.Change{Key: "datasets/z", Dataset: alive})
	s.Put(cluster.Change{Key: "datasets/b", Dataset: heir}, cluster.Change{Key: "datasets/z", Dataset: dead})
	if got := s.DatasetByName("db"); got != heir {
		t.Errorf("got %v, want the heir of the name", got)
	}
}

func FuzzStoredRecordsNeverCrashAndEncodeAsTheyWere(f *testing.F) {
	f.Add("datasets/d", []byte(`{"schema":1,"record":{"dataset_id":"d","primary":"a","size":67108864,"fs":"ext4","created":"2026-03-01T10:00:00Z"}}`))
	f.Add("states/d", []byte(`{"schema":1,"record":{"dataset_id":"d","node":"a","failure":{"cause":"x"},"consumers":[{"id":"c"}]}}`))
	f.Add("nodes/n", []byte(`{"schema":1,"record":{"uuid":"n","stream":3}}`))
	f.Add("meta", []byte(`{"schema":1,"record":{"cluster":"c"}}`))
	f.Add("leases/x", []byte(`{"schema":9,"record":null}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		c, err := cluster.Decode(cluster.Key(key), value)
		if err != nil {
			return
		}
		s := cluster.New()
		s.Put(c)
		if c.Dataset != nil {
			cluster.Explain(c.Dataset, nil, nil, s.Node, nil, time.Time{})
		}
		first, err := cluster.Encode(c)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := cluster.Decode(c.Key, first)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if second, _ := cluster.Encode(again); !bytes.Equal(first, second) {
			t.Errorf("got %s, want %s", second, first)
		}
	})
}
