package cluster_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// wholeLog has a record of each kind, by key, without what is around it.
var wholeLog = map[cluster.Key]string{
	"meta":                 `{"cluster":"c"}`,
	"nodes/n":              `{"uuid":"n","stream":1,"instance":"i","hostname":"h"}`,
	"datasets/d":           `{"dataset_id":"d","primary":"n","epoch":2,"metadata":{"name":"db"},"maximum_size":67108864,"queue":[{"node":"m"}]}`,
	"datasets/m":           `{"dataset_id":"m","primary":"n","metadata":{"name":"set.0"},"member":{"set":"set","index":0,"user":{"node":"n","consumer":"c"}}}`,
	"states/d":             `{"dataset_id":"d","node":"n","epoch":2,"phase":"mounted","consumers":[{"id":"c","kind":"mesos"}]}`,
	"leases/d":             `{"dataset_id":"d","node_uuid":"n"}`,
	"hints/d":              `{"dataset_id":"d","node":"n"}`,
	cluster.SetKey("set"):  `{"name":"set","waiting":[{"node":"m","consumer":"x"}]}`,
	cluster.AppKey("/db"):  `{"id":"/db","volumes":[{"name":"db"}]}`,
	"replicas/r":           `{"id":"r"}`,
	cluster.JobKey("m"):    `{"name":"m","owner":"r"}`,
	cluster.EndingKey("n"): `{"node":"n","app":"/db"}`,
}

// FuzzLogsNeverCrash loads a whole log in which fields of two records were
// changed, as a foreign writer may leave it. What the model takes it must be
// able to work with: it loads the same again, is explained, and takes commands.
func FuzzLogsNeverCrash(f *testing.F) {
	for i := range uint8(12) {
		f.Add(i, "node", []byte(`"m"`), i+1, "epoch", []byte(`18446744073709551615`))
		f.Add(i, "queue", []byte(`[{},{}]`), i, "member", []byte(`{"index":-1}`))
		f.Add(i, "metadata", []byte(`null`), i, "volume", []byte(`{"id":"v","size":-1}`))
		f.Add(i, "fence", []byte(`{"epoch":2}`), i, "deleted", []byte(`true`))
		f.Add(i, "waiting", []byte(`[{"node":"n","consumer":"y","each":-1}]`), i, "count", []byte(`-1`))
	}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	keys := slices.Sorted(maps.Keys(wholeLog))
	f.Fuzz(func(t *testing.T, first uint8, field string, value []byte, second uint8, another string, further []byte) {
		log := maps.Clone(wholeLog)
		change := func(n uint8, field string, value []byte) {
			key := keys[int(n)%len(keys)]
			record := map[string]json.RawMessage{}
			if json.Unmarshal([]byte(log[key]), &record) != nil || !json.Valid(value) {
				return
			}
			record[field] = value
			if text, err := json.Marshal(record); err == nil {
				log[key] = string(text)
			}
		}
		change(first, field, value)
		change(second, another, further)
		s, damaged := cluster.New(), false
		for key, record := range log {
			if err := s.PutStored(key, []byte(`{"schema":1,"record":`+record+`}`)); err != nil {
				damaged = true // a replica refuses to start with it, or sets it aside
			}
		}
		if !damaged {
			if err := checkLoaded(s); err != nil {
				t.Fatal(err)
			}
		}
		look(s, at)
		hello := api.Hello{Hostname: "h", Era: "e", Agent: "a", Instance: "i", Backend: "loopback"}
		for _, cmd := range []cluster.Command{
			cluster.Upkeep{At: at, Limit: 100},
			cluster.Claim{At: at, Node: "n", Stream: 1, Find: &api.DatasetSpec{Name: "db"}, NewID: "e", DefaultSize: 1 << 30},
			cluster.ClaimMember{At: at, Node: "n", Stream: 1, Consumer: "c", Find: api.DatasetSpec{Name: "set"}, Each: 2, NewID: "e", DefaultSize: 1 << 30},
			cluster.Report{At: at, Node: "n", Stream: 1, Datasets: []api.DatasetReport{{State: api.DatasetState{ID: "d", Epoch: 2}, Release: true}}},
			cluster.NodeConnect{At: at, Node: "n", Hello: hello, Replica: "r"},
			cluster.Prune{DestroyedBefore: at, Limit: 10},
			cluster.Upkeep{At: at.Add(24 * time.Hour), Limit: 100},
		} {
			out, err := cmd.Apply(s)
			if err != nil {
				continue
			}
			s = s.Clone()
			s.Put(out.Changes...)
		}
		look(s, at)
	})
}

// look asks for all that is made of records for people and agents.
func look(s *cluster.State, at time.Time) {
	for d := range s.Datasets() {
		cluster.Explain(d, s.DatasetState(d.ID), s.Lease(d.ID), s.Node, nil, at)
		s.ExplainMember(d, at)
		d.Concerns("n")
	}
	for a := range s.Apps() {
		cluster.ExplainApp(a, at)
		s.ExplainAhead(a)
	}
	for set := range s.Sets() {
		s.ExplainWaiting(set.Name, "n", "c", at)
	}
	s.Ahead(at, 10)
	s.NextReclaim(at)
	s.NextExpiry()
}
