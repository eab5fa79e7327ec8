package reconcile_test

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

func TestRoleIsTheOnlyOneOfTheFramework(t *testing.T) {
	framework := func(id, role string, roles ...string) agent.Response_GetFrameworks_Framework {
		info := mesos.FrameworkInfo{User: "root", Name: "f", ID: &mesos.FrameworkID{Value: id}, Roles: roles}
		if role != "" {
			info.Role = &role
		}
		return agent.Response_GetFrameworks_Framework{FrameworkInfo: info}
	}
	a := serve(t, &agent.Response{Type: agent.Response_GET_FRAMEWORKS, GetFrameworks: &agent.Response_GetFrameworks{
		Frameworks: []agent.Response_GetFrameworks_Framework{
			framework("old", "a"), framework("multi", "", "b"), framework("two", "", "a", "b"), framework("none", ""),
		},
	}})
	roles := reconcile.NewRoles(connect(t, a.URL))
	for id, want := range map[string]string{"old": "a", "multi": "b", "none": "*"} {
		if got, err := roles.Role(t.Context(), id); err != nil || got != want {
			t.Errorf("framework %s: got %q and %v, want %q", id, got, err, want)
		}
	}
	if got, err := roles.Role(t.Context(), "two"); err == nil {
		t.Errorf("a framework of two roles: got %q, want an error", got)
	}
	a.Close()
	if got, err := roles.Role(t.Context(), "unknown"); err == nil {
		t.Errorf("a framework that is not known, while Mesos does not answer: got %q, want an error", got)
	}
	if got, err := roles.Role(t.Context(), "old"); err != nil || got != "a" {
		t.Errorf("what is remembered: got %q and %v", got, err)
	}
}
