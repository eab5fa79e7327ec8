package isolator

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestRoleComesFromWhatMesosAllocated(t *testing.T) {
	top, nested := `{"value": "c"}`, `{"value": "t", "parent": {"value": "c"}}`
	res := func(roles ...string) string {
		var all []string
		for _, role := range roles {
			if role == "" {
				all = append(all, `{"name": "cpus"}`)
			} else {
				all = append(all, `{"name": "cpus", "allocation_info": {"role": "`+role+`"}}`)
			}
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	const forged = `"command_info": {"environment": {"variables": [{"name": "MESOS_ALLOCATION_ROLE", "value": "forged"}]}},
		"task_info": {"labels": {"labels": [{"key": "role", "value": "forged"}]}}`
	for name, tc := range map[string]struct{ id, executor, own, want string }{
		"the executor's":                         {top, res("a", "a"), res("a"), "a"},
		"the executor's, for a nested container": {nested, res("a"), res("forged"), "a"},
		"a nested container's own never counts":  {nested, "", res("forged"), ""},
		"an executor without resources":          {top, "[]", res("a"), "a"},
		"of two roles":                           {top, res("a", "b"), res("a"), ""},
		"of resources some of which name none":   {top, res("", "a"), res("a"), ""},
		"of none":                                {top, res(""), res("a"), ""},
		"of the role *":                          {top, res("*"), res("*"), "*"},
	} {
		executor := `{"framework_id": {"value": "f"}}`
		if tc.executor != "" {
			executor = `{"framework_id": {"value": "f"}, "resources": ` + tc.executor + `}`
		}
		text := `{"container_id": ` + tc.id + `, "container_config": {"directory": "/d", "executor_info": ` + executor + `, "resources": ` + tc.own + `, ` + forged + `}}`
		var in Input
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
		if got := in.role(); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestRecordedConfigsSayTheRole(t *testing.T) {
	for _, file := range []string{"command-task/01-prepare.json", "task-group/03-prepare.json"} {
		text, err := os.ReadFile("testdata/mesos/" + file)
		if err != nil {
			t.Fatal(err)
		}
		in, err := ParseInput(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := in.role(); got != "*" {
			t.Errorf("%s: got role %q, want *", file, got)
		}
	}
}
