package isolator_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

func TestPlan(t *testing.T) {
	waiting := isolator.Waiting{
		Program: "/opt/flocker-isolator", Socket: "/run/a.sock", Consumer: "a.b", Limit: 90 * time.Second,
	}
	placements := []isolator.Placement{{Key: "data", Name: "db", Target: "/s/data"}, {Key: "log", Name: "log", Target: "/s/a b"}}
	const mounts = `{"mounts":[{"source":"/flocker/1","target":"/s/data","flags":20480},` +
		`{"source":"/flocker/2.ro","target":"/s/a b","flags":20480}]`
	tests := []struct {
		name       string
		placements []isolator.Placement
		mounts     []api.Mount
		want       string // JSON, or the beginning of an error
	}{
		{"all are ready", placements,
			[]api.Mount{{Key: "data", Source: "/flocker/1", Ready: true}, {Key: "log", Source: "/flocker/2.ro", Ready: true, ReadOnly: true}},
			mounts + `}`},
		{"one is not ready", placements,
			[]api.Mount{{Key: "log", Source: "/flocker/2.ro"}, {Key: "data", Source: "/flocker/1", Ready: true}},
			mounts + `,"pre_exec_commands":[{"shell":false,"value":"/opt/flocker-isolator","arguments":["flocker-isolator","wait",` +
				`"--socket","/run/a.sock","--consumer","a.b","--limit","1m30s","data=/s/data","log=/s/a b"]}]}`},
		{"one is missing", placements, []api.Mount{{Key: "data", Source: "/flocker/1", Ready: true}},
			"the flocker agent answered without a mount for volume log"},
		{"one has no source", placements[:1], []api.Mount{{Key: "data", Ready: true}},
			"the flocker agent answered without a mount for volume db"},
		{"no volumes", nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := isolator.Plan(tt.placements, tt.mounts, waiting)
			var got []byte
			if err == nil {
				got, err = info.Encode()
			}
			if err != nil {
				got = []byte(err.Error())
			} else if len(got) > 0 && !json.Valid(got) {
				t.Errorf("got invalid JSON %s", got)
			}
			if !strings.HasPrefix(string(got), tt.want) || tt.want == "" && len(got) > 0 {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
