package clusterhq_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/clusterhq"
)

func TestEveryVersionIsRead(t *testing.T) {
	for version := 1; version <= 6; version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			c, err := clusterhq.Parse(file(t, version))
			if err != nil {
				t.Fatal(err)
			}
			if c.Version != version || len(c.Datasets) != 3 || c.Applications != 2 {
				t.Fatalf("got %+v", c)
			}
			byID := map[string]clusterhq.Dataset{}
			for _, d := range c.Datasets {
				byID[d.ID] = d
			}
			volume := map[bool]string{true: "vol-0a1b"}[version >= 4]
			if d := byID[db]; d.Primary != nodeA || d.MaximumSize != 1<<30 || d.Deleted || d.Metadata["name"] != "db" ||
				d.Metadata["clusterhq:flocker:profile"] != "gold" || d.Volume != volume {
				t.Errorf("db: got %+v", d)
			}
			if d := byID[gone]; !d.Deleted || d.MaximumSize != 0 {
				t.Errorf("gone: got %+v", d)
			}
			if d := byID[queue]; d.Primary != nodeB || d.Volume != "" {
				t.Errorf("queue: got %+v", d)
			}
			if version >= 3 {
				if len(c.Leases) != 2 || !c.Leases[0].Expires.Equal(time.Unix(1480000000, 0)) || !c.Leases[1].Expires.IsZero() {
					t.Errorf("leases: got %+v", c.Leases)
				}
			}
			if version >= 4 && (len(c.Strays) != 1 || c.Strays[0].Dataset != stray) {
				t.Errorf("strays: got %+v", c.Strays)
			}
		})
	}
}

func TestEmptyConfigurationsAreRead(t *testing.T) {
	for _, text := range []string{
		`{"$__class__$": "Deployment"}`,
		`{"$__class__$":"Configuration","version":6,"deployment":{"$__class__$":"Deployment","nodes":{"$__class__$":"PMap","values":[]},` +
			`"leases":{"$__class__$":"PMap","values":[]},"persistent_state":{"$__class__$":"PersistentState","blockdevice_ownership":{"$__class__$":"PMap","values":[]}}}}`,
	} {
		if c, err := clusterhq.Parse([]byte(text)); err != nil || len(c.Datasets) != 0 {
			t.Errorf("%s: got %+v, %v", text, c, err)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	with := func(change func(object)) []byte { return file(t, 6, change) }
	one := func(d object) []byte { return with(replaceNodes(node(6, nodeA, manifestation(d)))) }
	const first = "deployment.nodes.values[0][1].manifestations.values[0][1]"
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"no JSON":           {[]byte("{"), "it is not JSON"},
		"two values":        {[]byte("{}{}"), "after its end"},
		"a list":            {[]byte("[]"), "the file: is no object of class Configuration, but a list"},
		"another class":     {[]byte(`{"$__class__$":"Cluster"}`), `the file: has class "Cluster", not Configuration`},
		"version 7":         {bytes.Replace(file(t, 6), []byte(`"version":6`), []byte(`"version":7`), 1), "version: is 7"},
		"version 1.5":       {bytes.Replace(file(t, 6), []byte(`"version":6`), []byte(`"version":1.5`), 1), "version: is 1.5"},
		"version text":      {bytes.Replace(file(t, 6), []byte(`"version":6`), []byte(`"version":"6"`), 1), `version: is no number, but the text "6"`},
		"an unknown key":    {with(func(d object) { d["snapshots"] = 1 }), `deployment: has "snapshots", which is not known`},
		"leases in 2":       {file(t, 2, func(d object) { d["leases"] = pmap() }), `deployment: has "leases"`},
		"no leases in 6":    {with(func(d object) { delete(d, "leases") }), "deployment.leases: is no object of class PMap, but nothing"},
		"nodes of 4 in 6":   {with(func(d object) { d["nodes"] = []any{} }), "deployment.nodes: is no object of class PMap, but a list"},
		"a node twice":      {with(replaceNodes(node(6, nodeA), node(6, nodeA))), "deployment.nodes.values[1][1]: is node " + nodeA + ", which is there twice"},
		"a node's key":      {with(func(d object) { d["nodes"] = pmap([]any{id(nodeB), node(6, nodeA)}) }), "under the key " + nodeB},
		"a pair of three":   {with(func(d object) { d["nodes"] = pmap([]any{id(nodeB), 1, 2}) }), "deployment.nodes.values[0]: has 3 parts"},
		"no UUID":           {one(dataset("db", "", nil, false)), first[:len(first)-3] + `[0]: is "db", which is no UUID`},
		"size 0":            {one(dataset(db, "", 0, false)), first + ".dataset.maximum_size: is 0 bytes"},
		"size 1.5":          {one(dataset(db, "", 1.5, false)), first + ".dataset.maximum_size: is 1.5, which is no whole number"},
		"size of 128 TiB":   {one(dataset(db, "", 1<<47, false)), first + ".dataset.maximum_size: is 140737488355328 bytes, more than the largest size of a dataset"},
		"deleted as text":   {one(dataset(db, "", nil, false).set("deleted", "no")), first + `.dataset.deleted: is neither true nor false, but the text "no"`},
		"a key of metadata": {one(dataset(db, "", nil, false).set("metadata", pmap([]any{1, "x"}))), first + ".dataset.metadata.values[0][0]: is no text, but 1"},
		"metadata twice":    {one(dataset(db, "", nil, false).set("metadata", pmap([]any{"k", "x"}, []any{"k", "y"}))), "is there twice"},
		"a dataset on two nodes": {with(replaceNodes(node(6, nodeA, manifestation(dataset(db, "", nil, false))),
			node(6, nodeB, manifestation(dataset(db, "", nil, false))))), "which is on another node already, at " + first},
		"a volume twice": {with(func(d object) {
			d["persistent_state"] = class("PersistentState", object{"blockdevice_ownership": pmap([]any{id(db), "vol-1"}, []any{id(queue), "vol-1"})})
		}), "is volume \"vol-1\" of dataset " + queue + ", which is dataset " + db + "'s already"},
		"two volumes": {with(func(d object) {
			d["persistent_state"] = class("PersistentState", object{"blockdevice_ownership": pmap([]any{id(db), "vol-1"}, []any{id(db), "vol-2"})})
		}), "has a volume already"},
		"a volume without id": {with(func(d object) {
			d["persistent_state"] = class("PersistentState", object{"blockdevice_ownership": pmap([]any{id(db), ""})})
		}), "is no id of a volume"},
		"two leases": {with(func(d object) {
			lease := class("Lease", object{"dataset_id": id(db), "node_id": id(nodeA), "expiration": nil})
			d["leases"] = pmap([]any{id(db), lease}, []any{id(db), lease})
		}), "is dataset " + db + ", which has a lease already"},
		"a lease after all times": {with(func(d object) {
			d["leases"] = pmap([]any{id(db), class("Lease", object{"dataset_id": id(db), "node_id": id(nodeA), "expiration": class("datetime", object{"seconds": 1 << 40})})})
		}), "deployment.leases.values[0][1].expiration.seconds: is 1099511627776, which is no date"},
		"a lease's key": {with(func(d object) {
			d["leases"] = pmap([]any{id(queue), class("Lease", object{"dataset_id": id(db), "node_id": id(nodeA), "expiration": nil})})
		}), "is the lease of dataset " + db},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := clusterhq.Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func (o object) set(key string, value any) object {
	o[key] = value
	return o
}

func TestCopiesOnFurtherNodesAreCountedOnly(t *testing.T) {
	copied := manifestation(dataset(db, "db", nil, false))
	copied[1].(object)["primary"] = false
	c, err := clusterhq.Parse(file(t, 6, replaceNodes(node(6, nodeA, copied), node(6, nodeB, manifestation(dataset(db, "db", nil, false))))))
	if err != nil || c.Replicas != 1 || len(c.Datasets) != 1 || c.Datasets[0].Primary != nodeB {
		t.Errorf("got %+v, %v, want one dataset on %s and a copy", c, err, nodeB)
	}
}

func FuzzParse(f *testing.F) {
	for version := 1; version <= 6; version++ {
		f.Add(file(f, version))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := clusterhq.Parse(text)
		if err != nil {
			return
		}
		takeover, err := c.TakeOver(clusterhq.Options{Cluster: "c", At: at, Backend: "aws", RenameOthers: true})
		if err == nil {
			checkTakeover(t, takeover)
		}
	})
}
