package consul

import (
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
)

func rec(key, value string) store.Record { return store.Record{Key: key, Value: []byte(value)} }

func TestSumIsOfTheRecordsAndNotOfTheirHistory(t *testing.T) {
	x := newIndex(nil)
	for _, changes := range [][]store.Record{
		{rec("a", "1"), rec("b", "1"), rec("gone", "1")},
		{rec("a", "2"), rec("gone", ""), rec("never there", "")},
		{rec("c", "x"), rec("c", "3"), rec("d", "4"), rec("d", "")},
	} {
		list := newChanges(changes)
		want := x.after(list)
		x.apply(list)
		if x.contents != want {
			t.Errorf("got %+v, want what was foretold, %+v", x.contents, want)
		}
	}
	if got, want := x.contents, newIndex([]store.Record{rec("c", "3"), rec("b", "1"), rec("a", "2")}).contents; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSumTellsRecordsApart(t *testing.T) {
	all := map[digest]string{}
	for name, records := range map[string][]store.Record{
		"none":               nil,
		"one":                {rec("a", "bc")},
		"the key is longer":  {rec("ab", "c")},
		"the value is other": {rec("a", "bd")},
		"two":                {rec("a", "bc"), rec("ab", "c")},
		"values exchanged":   {rec("a", "c"), rec("ab", "bc")},
	} {
		sum := newIndex(records).sum
		if other, ok := all[sum]; ok {
			t.Errorf("%q and %q have one sum", name, other)
		}
		all[sum] = name
	}
}
