package api_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestRefusesAnotherLogThanTheOneThatWasSeen(t *testing.T) {
	seen := api.LogIdentity{ID: "a", Incarnation: 100, Revision: 150}
	start := func(id string, revision uint64) api.LogStart { return api.LogStart{ID: id, Revision: revision} }
	with := func(l api.LogIdentity, starts ...api.LogStart) api.LogIdentity { l.Starts = starts; return l }
	later := api.LogIdentity{ID: "a", Incarnation: 100, Revision: 900}
	knows := with(seen, start("r2", 120))
	for name, tt := range map[string]struct {
		seen, found api.LogIdentity
		want        string // part of the reason, "" for none
	}{
		"nothing was seen":         {api.LogIdentity{}, api.LogIdentity{ID: "b", Revision: 1}, ""},
		"nothing is there":         {seen, api.LogIdentity{}, "it is empty"},
		"the same":                 {seen, api.LogIdentity{ID: "a", Incarnation: 100, Revision: 150}, ""},
		"the same, later":          {seen, api.LogIdentity{ID: "a", Incarnation: 100, Revision: 151}, ""},
		"another":                  {seen, api.LogIdentity{ID: "b", Incarnation: 1000, Revision: 1000}, "log b"},
		"an older copy":            {seen, api.LogIdentity{ID: "a", Incarnation: 100, Revision: 149}, "older copy"},
		"restored since":           {seen, api.LogIdentity{ID: "a", Incarnation: 200, Revision: 200}, ""},
		"of before a restore":      {seen, api.LogIdentity{ID: "a", Incarnation: 1, Revision: 99}, "older state"},
		"of before, and run on":    {seen, api.LogIdentity{ID: "a", Incarnation: 1, Revision: 1000}, "older state"},
		"put in its place":         {seen, api.LogIdentity{ID: "b", Incarnation: 200, Revision: 200, Replaces: []string{"x", "a"}}, ""},
		"put in another's place":   {seen, api.LogIdentity{ID: "b", Incarnation: 200, Revision: 200, Replaces: []string{"x"}}, "log b"},
		"no start since":           {knows, with(later, start("r1", 101), start("r2", 120)), ""},
		"a start since":            {knows, with(later, start("r2", 120), start("r3", 151)), ""},
		"a copy that went on":      {knows, with(later, start("r2", 120), start("r3", 150)), "went on"},
		"a copy of before a start": {knows, with(later, start("r1", 101), start("r3", 110)), "went on"},
		"many starts since":        {knows, with(later, start("r40", 400), start("r41", 410)), ""},
		"none that are known":      {knows, later, ""},
		"accepted by its id alone": {api.LogIdentity{ID: "a"}, api.LogIdentity{ID: "a", Incarnation: 1, Revision: 3}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.seen.Refuses(tt.found)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
