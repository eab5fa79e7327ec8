package reconcile_test

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/api"
)

func TestInspectMakesEveryCallAndTellsNoSecrets(t *testing.T) {
	a := serveEach(t, func(call *agent.Call) *agent.Response {
		return &agent.Response{Type: agent.Response_Type(agent.Response_Type_value[call.Type.String()])}
	})
	a.flags = emptyGroups(t)
	a.flags["docker_config"] = `{"auths":{}}`
	info := connect(t, a.URL).Inspect(t.Context())
	if len(info.Troubles) != 0 || info.Flags["launcher"] != "linux" || info.Flags["docker_config"] != "" || len(info.Groups) != 1 {
		t.Errorf("got %+v", info)
	}
	a.flags["cgroups_root"] = "blue"
	if info = connect(t, a.URL).Inspect(t.Context()); len(info.Troubles) != 1 || info.Troubles[api.MesosCallGroups] == nil {
		t.Errorf("with another root: got %+v", info)
	}
	a.Close()
	info = connect(t, a.URL).Inspect(t.Context())
	for _, call := range []string{api.MesosCallFlags, api.MesosCallContainers, api.MesosCallTasks, api.MesosCallFrameworks} {
		if info.Troubles[call] == nil || info.Troubles[call].Kind != api.MesosUnheard {
			t.Errorf("%s where nothing listens: got %+v", call, info.Troubles[call])
		}
	}
}

// serveEach is serve with an answer for every call.
func serveEach(t *testing.T, answer func(*agent.Call) *agent.Response) *mesosAgent {
	t.Helper()
	a := serve(t, nil)
	a.each = answer
	return a
}
