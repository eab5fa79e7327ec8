package marathon_test

import (
	"encoding/json"
	"testing"

	"github.com/flocker-mesos/flocker/marathon"
)

func TestTheZoneInWhichAloneAnAppMayRun(t *testing.T) {
	for constraints, want := range map[string]string{
		`[]`:                                    "",
		`[["hostname", "IS", "a"]]`:             "",
		`[["@zone", "IS", "a"]]`:                "a",
		`[["az", "cluster", "us-east-1a"]]`:     "us-east-1a",
		`[["zone", "CLUSTER"]]`:                 "",
		`[["zone", "LIKE", "a"]]`:               "a",
		`[["zone", "LIKE", "a|b"]]`:             "",
		`[["zone", "UNLIKE", "a"]]`:             "",
		`[["zone", "GROUP_BY", "2"]]`:           "",
		`[["zone"], ["flocker_zone","IS","b"]]`: "b",
	} {
		var app marathon.App
		if err := json.Unmarshal([]byte(`{"constraints": `+constraints+`}`), &app); err != nil {
			t.Fatal(err)
		}
		if got := app.Zone(); got != want {
			t.Errorf("%s: got %q, want %q", constraints, got, want)
		}
	}
	for text, want := range map[string]string{
		`{}`:                 "",
		`{"scheduling": {}}`: "",
		`{"scheduling": {"placement": {"constraints": [{"fieldName": "@zone", "operator": "IS", "value": "a"}]}}}`: "a",
	} {
		var pod marathon.Pod
		if err := json.Unmarshal([]byte(text), &pod); err != nil {
			t.Fatal(err)
		}
		if got := pod.Zone(); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
