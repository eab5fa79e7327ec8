package consul

import "testing"

func TestHeadThatCannotComeAfterAnotherIsNoticed(t *testing.T) {
	at := func(log string, revision uint64, id string) head {
		return head{Log: log, Revision: revision, Recent: []committed{{Revision: revision - 1, ID: "before " + id}, {Revision: revision, ID: id}}}
	}
	for name, c := range map[string]struct {
		before, after head
		want          string
	}{
		"the first":                      {head{}, at("l", 5, "x"), ""},
		"the same":                       {at("l", 5, "x"), at("l", 5, "x"), ""},
		"the next":                       {at("l", 4, "before x"), at("l", 5, "x"), ""},
		"much later":                     {at("l", 5, "x"), at("l", 500, "y"), ""},
		"nothing":                        {at("l", 5, "x"), head{}, "is empty, but was at revision 5"},
		"another log":                    {at("l", 5, "x"), at("m", 6, "y"), "is another log than the one that was at revision 5"},
		"an earlier one":                 {at("l", 5, "x"), at("l", 4, "y"), "is at revision 4, but was at 5"},
		"another of the same revision":   {at("l", 5, "x"), at("l", 5, "y"), "has another commit at revision 5 than it had"},
		"one that comes after another":   {at("l", 5, "x"), at("l", 6, "y"), "has another commit at revision 5 than it had"},
		"what has no commits to compare": {head{Log: "l", Revision: 5}, at("l", 6, "y"), ""},
	} {
		if got := c.after.breaks(c.before); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
