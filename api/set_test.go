package api_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestInstanceOfTakesMarathonsInstanceFromATaskID(t *testing.T) {
	const instance = "prod_db.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002"
	for _, tt := range []struct{ name, task, want string }{
		{"task of an app", instance + "._app.1", instance},
		{"its next attempt", instance + "._app.2", instance},
		{"task of a pod", instance + ".server.3", instance},
		{"the instance itself", instance, instance},
		{"an app called instance", "instance.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002._app.1",
			"instance.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002"},
		{"older Marathon", "prod_db.b6ea2f51-4f0c-11ee-9e7c-0242ac110002", ""},
		{"longer than an id", instance + "0._app.1", ""},
		{"cut short", instance[:len(instance)-1], ""},
		{"no UUID", "prod_db.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac11000z._app.1", ""},
		{"another framework", "kafka-0", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := api.InstanceOf(tt.task); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseMemberNameReversesMemberName(t *testing.T) {
	for _, tt := range []struct {
		name, set string
		index     int
		ok        bool
	}{
		{"kafka.data.0", "kafka.data", 0, true},
		{"kafka.12", "kafka", 12, true},
		{"kafka", "", 0, false},
		{"kafka.data", "", 0, false},
		{"kafka.01", "", 0, false},
		{"kafka.-1", "", 0, false},
		{"kafka.+1", "", 0, false},
		{".1", "", 0, false},
		{"", "", 0, false},
	} {
		set, index, ok := api.ParseMemberName(tt.name)
		if set != tt.set || index != tt.index || ok != tt.ok {
			t.Errorf("%q: got %q, %d, %t, want %q, %d, %t", tt.name, set, index, ok, tt.set, tt.index, tt.ok)
		}
		if ok && api.MemberName(set, index) != tt.name {
			t.Errorf("%q: back again: got %q", tt.name, api.MemberName(set, index))
		}
	}
}
