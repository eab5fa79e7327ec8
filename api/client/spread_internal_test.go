package client

import (
	"fmt"
	"slices"
	"testing"
)

func TestAgentsSpreadEvenly(t *testing.T) {
	const agents = 1000
	all := []endpoint{{"a:1", "10.0.0.1:1"}, {"a:1", "10.0.0.2:1"}, {"c:1", "10.0.0.3:1"}}
	first := func(agent int, of ...endpoint) endpoint { return spread(of, fmt.Sprint("agent-", agent))[0] }
	count := map[endpoint]int{}
	for i := range agents {
		count[first(i, all...)]++
	}
	for _, e := range all {
		if count[e] < 280 || count[e] > 390 {
			t.Errorf("%s has %d of %d agents", e, count[e], agents)
		}
	}
	gone, left := all[1], []endpoint{all[2], all[0]} // and in another order
	moved := map[endpoint]int{}
	for i := range agents {
		before, after := first(i, all...), first(i, left...)
		if before != gone && before != after {
			t.Fatalf("agent %d moved from %s to %s although only %s is gone", i, before, after, gone)
		}
		if before == gone {
			moved[after]++
		}
	}
	for _, e := range left {
		if moved[e] < count[gone]/3 {
			t.Errorf("%s got only %d of the %d agents of the one that is gone", e, moved[e], count[gone])
		}
	}
	if got := spread(all, "x"); len(got) != len(all) || !slices.Contains(got, all[0]) {
		t.Errorf("got %v, want all of them", got)
	}
}
