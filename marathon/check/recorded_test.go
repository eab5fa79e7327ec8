package check_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/marathon/check"
	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// elsewhere are refusals and acceptances that depend on more than the definition.
var elsewhere = map[string]string{
	"[]":                   "no definition: Marathon takes it for an empty change of what is there",
	"null":                 "no definition: Marathon takes it for an empty change of what is there",
	"5":                    "no definition: Marathon takes it for an empty change of what is there",
	"{}":                   "no definition: Marathon takes it for an empty change of what is there",
	`{"nonsense": 1}`:      "a change of a group that is there",
	`{"id": "/t/pod"}`:     "without containers it reads as an app",
	`"acceptedResourceRol`: "the roles depend on how Marathon was started",
	`"role": "other"`:      "the roles depend on how Marathon was started",
	`"/t/../x"`:            "the id is the path's",
	`{"id": "/t/pad"`:      "the path has another id",
	`{"id": "/t", "apps"`:  "the app is locked",
	`{"id": "/t/pod", "cm`: "an app that was sent to the pods",
}

func TestCheckAgreesWithARealMarathonOnWhatItRefuses(t *testing.T) {
	judged := 0
	for _, l := range recording.Read(t, "rest-04-refused").Lines {
		if !l.Exchange() || l.Response.Status == 409 || l.Response.Status == 415 {
			continue
		}
		skip := ""
		for part, why := range elsewhere {
			if l.Request.Body == part || strings.ContainsRune(part, '"') && strings.Contains(l.Request.Body, part) {
				skip = why
			}
		}
		if l.Request.Method == http.MethodPost && l.Request.Path == "/v2/apps" {
			skip = "a pod that was sent to the apps"
		}
		if skip != "" || l.Response.Status == 400 { // 400: Parse refuses what is no JSON
			continue
		}
		judged++
		t.Run(l.Request.Path+" "+l.Note, func(t *testing.T) {
			d, err := check.Parse("app.json", []byte(l.Request.Body))
			if err != nil {
				t.Fatalf("%s: %v", l.Request.Body, err)
			}
			var found []string
			for _, f := range check.Check([]*check.Document{d}, &check.Context{}) {
				if f.Severity == check.Error {
					found = append(found, f.Rule+": "+f.What)
				}
			}
			refused := l.Response.Status >= 400
			if refused != (len(found) > 0) {
				t.Errorf("Marathon answered %d %s to\n%s\nand check finds %q", l.Response.Status, l.Response.Text(), l.Request.Body, found)
			}
		})
	}
	if judged < 35 {
		t.Errorf("%d definitions were judged, want 35 or more", judged)
	}
}
