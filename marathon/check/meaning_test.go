package check_test

import (
	"slices"
	"testing"

	"github.com/flocker-mesos/flocker/marathon/check"
)

// A mistake in a label hides nothing else: what the label means is clear enough.
func TestOneMistakeHidesNoOther(t *testing.T) {
	const rest = `"id": "/db", "instances": 3, "container": {"type": "DOCKER", "docker": {"image": "pg"}}, "labels": `
	for name, tt := range map[string]struct {
		labels string
		want   []string
	}{
		"in a setting":       {`{"flocker.volume.log": "/log", "flocker.volume.log.size": "10"}`, []string{"docker-containerizer", "instances", "label"}},
		"in one line":        {`{"flocker.volume.log": "path=/log,size=10"}`, []string{"docker-containerizer", "instances", "label"}},
		"twice in one line":  {`{"flocker.volume.log": "path=/log,size=10,name="}`, []string{"docker-containerizer", "instances", "label"}},
		"in the name":        {`{"flocker.volum.log": "/log"}`, []string{"docker-containerizer", "instances", "label-ignored"}},
		"in name and value":  {`{"flocker.volum.log": "path=/log,size=10"}`, []string{"docker-containerizer", "instances", "label", "label-ignored"}},
		"each has a volume":  {`{"flocker.volume.log": "path=/log,size=10,each=true"}`, []string{"docker-containerizer", "label"}},
		"nothing of meaning": {`{"flocker.volume.log": "size=10"}`, []string{"label"}},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := check.Parse("app.json", []byte("{"+rest+tt.labels+"}"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range check.Check([]*check.Document{document}, &check.Context{}) {
				if f.Severity == check.Error && f.Rule != "upgrade-strategy" && !slices.Contains(got, f.Rule) {
					got = append(got, f.Rule)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
