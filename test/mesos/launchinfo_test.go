package mesos

import (
	"errors"
	"reflect"
	"testing"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

func TestLaunchInfoIsReadAsStrictlyAsMesosDoes(t *testing.T) {
	const twoPhase = `{"mounts":[{"source":"/flocker/v","target":"/sandbox/data","flags":20480}],
		"pre_exec_commands":[{"shell":false,"value":"/bin/wait","arguments":["wait","x"]},{"value":"echo"}]}`
	cases := map[string]struct {
		output string
		want   *launchInfo // nil: the launch fails
	}{
		"nothing":          {"", &launchInfo{}},
		"an empty object":  {"{}", &launchInfo{}},
		"an unknown field": {`{"command_environment":{"variables":3}}`, &launchInfo{}},
		"camel case":       {`{"preExecCommands":3,"cloneNamespaces":"x"}`, &launchInfo{}},
		"another case":     {`{"Mounts":3}`, &launchInfo{}},
		"a null":           {`{"mounts":null}`, &launchInfo{}},
		"white space":      {" \n", nil},
		"no JSON":          {"mounts: []", nil},
		"an array":         {"[]", nil},
		"flags as text":    {`{"mounts":[{"target":"/t","flags":"20480"}]}`, nil},
		"no target":        {`{"mounts":[{"source":"/s"}]}`, nil},
		"namespace name":   {`{"clone_namespaces":["CLONE_NEWNS"]}`, nil},
		"rootfs":           {`{"rootfs":"/x"}`, nil},
		"user":             {`{"user":"x"}`, nil},
		"nameless variable": {
			`{"environment":{"variables":[{"value":"x"}]}}`, nil,
		},
		"variables": {
			`{"environment":{"variables":[{"name":"A","value":"1","type":"VALUE"},{"name":"S","value":"x","type":"SECRET"}]},
			  "task_environment":{"variables":[{"name":"B","value":"2"}]}}`,
			&launchInfo{Env: []Variable{Var("A", "1"), Var("S", "")}, TaskEnv: []Variable{Var("B", "2")}},
		},
		"two phases": {twoPhase, &launchInfo{
			Mounts: []launch.Mount{{Source: "/flocker/v", Target: "/sandbox/data", Flags: 20480}},
			PreExec: []launch.Command{
				{Value: "/bin/wait", Arguments: []string{"wait", "x"}}, {Shell: true, Value: "echo"},
			},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseLaunchInfo([]byte(c.output))
			if (err != nil) != (c.want == nil) {
				t.Fatalf("error is %v", err)
			}
			if c.want != nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("launch info is %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestACommandInTheLaunchInfoAbortsTheAgent(t *testing.T) {
	_, err := parseLaunchInfo([]byte(`{"command":{"value":"x"}}`))
	if _, ok := errors.AsType[*abortError](err); !ok {
		t.Errorf("error is %v, want an abort", err)
	}
}
