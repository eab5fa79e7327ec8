package isolator_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

func mustParse(t *testing.T, text string) *isolator.Input {
	t.Helper()
	in, err := isolator.ParseInput([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestContainerIDIsWrittenAsMesosWritesIt(t *testing.T) {
	tests := []struct{ json, want string }{
		{`{"container_id":{"value":"a"}}`, "a"},
		{`{"container_id":{"value":"b","parent":{"value":"a"}}}`, "a.b"},
		{`{"container_id":{"value":"c","parent":{"value":"b","parent":{"value":"a"}}}}`, "a.b.c"},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.json).ContainerID.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestParseInputRefusesWhatMesosNeverSends(t *testing.T) {
	nested := strings.Repeat(`{"value":"x","parent":`, 100) + `{"value":"x"}` + strings.Repeat("}", 100)
	for _, text := range []string{
		"", "{", "[]", `{"container_id":"x"}`, `{"container_config":{}}`,
		`{"container_id":{"value":""}}`,
		`{"container_id":{"value":"a/b"}}`,
		`{"container_id":{"value":"a.b"}}`,
		`{"container_id":{"value":"a","parent":{"value":""}}}`,
		`{"container_id":` + nested + `}`,
		`{"container_id":{"value":"a"},"container_config":{"directory":"relative"}}`,
		`{"container_id":{"value":"a"},"container_config":{"directory":"/a/../b"}}`,
		`{"container_id":{"value":"a"},"container_config":{"rootfs":"/"}}`,
	} {
		if in, err := isolator.ParseInput([]byte(text)); err == nil {
			t.Errorf("%.100s: got %+v, want an error", text, in)
		}
	}
}

const (
	dataLabel = `"labels":{"labels":[{"key":"flocker.volume.data","value":"/data"},{"key":"flocker.volume.data.name","value":"db"}]}`
	dataEnv   = `"command_info":{"environment":{"variables":[
		{"name":"MARATHON_APP_ID","value":"/app"},{"name":"MARATHON_APP_LABEL_FLOCKER_VOLUME_DATA","value":"/data"}]}}`
)

func TestDemandDependsOnTheKindOfContainer(t *testing.T) {
	tests := []struct {
		name   string
		input  string
		volume string // its name, "" for none
		ask    bool
	}{
		{"command task", `{"container_id":{"value":"a"},"container_config":{"task_info":{` + dataLabel + `},
			"executor_info":{` + dataLabel + `}}}`, "db", false},
		{"command task without labels", `{"container_id":{"value":"a"},"container_config":{"task_info":{},"executor_info":{}}}`, "", false},
		{"command task with environment alone", `{"container_id":{"value":"a"},"container_config":{"task_info":{},` + dataEnv + `}}`,
			"app.data", false},
		{"executor of a task group", `{"container_id":{"value":"a"},"container_config":{
			"executor_info":{"type":"DEFAULT",` + dataLabel + `}}}`, "", false},
		{"executor of a framework", `{"container_id":{"value":"a"},"container_config":{
			"executor_info":{"type":"CUSTOM",` + dataLabel + `}}}`, "db", false},
		{"task of a pod", `{"container_id":{"value":"b","parent":{"value":"a"}},"container_config":{"container_class":"DEFAULT",` +
			dataEnv + `,"executor_info":{"type":"DEFAULT",` + dataLabel + `}}}`, "app.data", false},
		{"task of a pod without volumes", `{"container_id":{"value":"b","parent":{"value":"a"}},"container_config":{
			"command_info":{"environment":{"variables":[{"name":"MARATHON_APP_ID","value":"/app"}]}}}}`, "", false},
		{"task of another framework's group", `{"container_id":{"value":"b","parent":{"value":"a"}},"container_config":{
			"executor_info":{"type":"DEFAULT",` + dataLabel + `}}}`, "", true},
		{"the same with an environment", `{"container_id":{"value":"b","parent":{"value":"a"}},"container_config":{
			"command_info":{"environment":{"variables":[{"name":"FLOCKER_ID","value":"x"},
			{"name":"FLOCKER_CONTAINER_VOLUME_PATH","value":"y"}]}}}}`, "x", false},
		{"health check", `{"container_id":{"value":"c","parent":{"value":"b","parent":{"value":"a"}}},
			"container_config":{"container_class":"DEBUG",` + dataEnv + `}}`, "", false},
		{"no executor at all", `{"container_id":{"value":"a"},"container_config":{}}`, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustParse(t, tt.input).Demand()
			if err != nil {
				t.Fatal(err)
			}
			name := ""
			if len(got.Volumes) > 0 {
				name = got.Volumes[0].Name
			}
			if name != tt.volume || got.AskMesos != tt.ask {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDemandRefusesBadLabels(t *testing.T) {
	in := mustParse(t, `{"container_id":{"value":"a"},"container_config":{"task_info":{"labels":{"labels":[
		{"key":"flocker.volume.data.sise","value":"1G"}]}}}}`)
	_, err := in.Demand()
	if _, ok := errors.AsType[api.Mistakes](err); !ok {
		t.Errorf("got %v, want api.Mistakes", err)
	}
}
