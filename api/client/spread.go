package client

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
)

// spread returns endpoints in the order in which an agent prefers them, which
// is another for every agent, and always the same for one: by the hash of both
// names. So agents spread evenly over whatever replicas there are without
// knowing of each other, those of a replica that is gone spread evenly over the
// others, and when it is back it gets the very same again and no others move.
func spread(all []endpoint, agent string) []endpoint {
	type ranked struct {
		endpoint
		rank [sha256.Size]byte
	}
	ranks := make([]ranked, len(all))
	for i, e := range all {
		ranks[i] = ranked{e, sha256.Sum256([]byte(agent + "\x00" + e.name + "\x00" + e.address))}
	}
	slices.SortFunc(ranks, func(a, b ranked) int {
		return cmp.Or(bytes.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.name, b.name))
	})
	out := make([]endpoint, len(all))
	for i, r := range ranks {
		out[i] = r.endpoint
	}
	return out
}
