package clusterhq_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

const (
	nodeA = "4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"
	nodeB = "9c1d2e3f-7a6b-4c5d-8e9f-102132435465"
	db    = "aaaaaaaa-0001-4000-8000-000000000001"
	queue = "bbbbbbbb-0002-4000-8000-00000000000b"
	gone  = "cccccccc-0003-4000-8000-00000000000c"
	stray = "dddddddd-0004-4000-8000-00000000000d"
)

// object, pmap, id and so on write as Flocker does.
type object map[string]any

func class(name string, fields object) object {
	fields["$__class__$"] = name
	return fields
}

func pmap(pairs ...[]any) object {
	if pairs == nil {
		pairs = [][]any{}
	}
	return class("PMap", object{"values": pairs})
}

func id(hex string) object { return class("UUID", object{"hex": hex}) }

func dataset(id, name string, size any, deleted bool) object {
	metadata := pmap()
	if name != "" {
		metadata = pmap([]any{"name", name}, []any{"clusterhq:flocker:profile", "gold"})
	}
	return class("Dataset", object{"dataset_id": id, "deleted": deleted, "maximum_size": size, "metadata": metadata})
}

func manifestation(d object) []any {
	return []any{d["dataset_id"], class("Manifestation", object{"dataset": d, "primary": true})}
}

// node writes a node as a version of the file has it.
func node(version int, uuid string, manifestations ...[]any) object {
	application := object{"$__class__$": "Application", "name": "web", "image": object{"whatever": 1}}
	var applications any = []any{application}
	if version >= 5 {
		applications = pmap([]any{"web", application})
	}
	return class("Node", object{"uuid": id(uuid), "applications": applications, "manifestations": pmap(manifestations...)})
}

// file is a whole configuration, as a version has it, after a change to its deployment.
func file(t testing.TB, version int, change ...func(deployment object)) []byte {
	t.Helper()
	a := node(version, nodeA, manifestation(dataset(db, "db", 1<<30, false)), manifestation(dataset(gone, "db", nil, true)))
	b := node(version, nodeB, manifestation(dataset(queue, "queue", nil, false)))
	deployment := class("Deployment", object{"nodes": []any{a, b}})
	if version >= 5 {
		deployment["nodes"] = pmap([]any{id(nodeA), a}, []any{id(nodeB), b})
	}
	if version >= 3 {
		lease := class("Lease", object{"dataset_id": id(db), "node_id": id(nodeA), "expiration": class("datetime", object{"seconds": 1480000000})})
		forever := class("Lease", object{"dataset_id": id(queue), "node_id": id(nodeB), "expiration": nil})
		deployment["leases"] = pmap([]any{id(db), lease}, []any{id(queue), forever})
	}
	if version >= 4 {
		deployment["persistent_state"] = class("PersistentState", object{
			"blockdevice_ownership": pmap([]any{id(db), "vol-0a1b"}, []any{id(gone), "vol-gone"}, []any{id(stray), "vol-stray"}),
		})
	}
	for _, c := range change {
		c(deployment)
	}
	root := deployment
	if version >= 2 {
		root = class("Configuration", object{"version": version, "deployment": deployment})
	}
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(fmt.Errorf("encode sample: %w", err))
	}
	return text
}

// replaceNodes has a deployment of version 6 with other nodes.
func replaceNodes(nodes ...object) func(object) {
	return func(deployment object) {
		var pairs [][]any
		for _, n := range nodes {
			pairs = append(pairs, []any{n["uuid"], n})
		}
		deployment["nodes"] = pmap(pairs...)
	}
}
