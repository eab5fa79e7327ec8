package isolator

import (
	"reflect"
	"testing"
)

func TestModulesAreReadAsFlagsShowThem(t *testing.T) {
	// As a real Mesos agent shows its --modules by /flags.
	text := "libraries {\n  file: \"/lab/host/mesos-lab/mesosbin/libmesos_command_modules.so\"\n  modules {\n    name: \"com_criteo_mesos_CommandIsolator\"\n" +
		"    parameters {\n      key: \"module_name\"\n      value: \"flocker\"\n    }\n" +
		"    parameters {\n      key: \"isolator_prepare_command\"\n      value: \"/opt/it\\'s \\\"here\\\"\"\n    }\n  }\n}\n"
	want := &Modules{Libraries: []Library{{File: "/lab/host/mesos-lab/mesosbin/libmesos_command_modules.so", Modules: []Module{{
		Name:       "com_criteo_mesos_CommandIsolator",
		Parameters: []Parameter{{"module_name", "flocker"}, {"isolator_prepare_command", `/opt/it's "here"`}},
	}}}}}
	got, err := readModules(text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"libraries {\n", "libraries {\n  file: x\n}\n", "libraries {\n  file\n}\n", "libraries {\n  modules {\n    parameters {\n      key: \"\n"} {
		if got, err := readModules(bad); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
	if got, err := readModules("libraries {\n  other {\n    key: \"x\"\n  }\n}\n"); err != nil || len(got.Libraries) != 1 {
		t.Errorf("with a block of a newer Mesos: got %+v, %v", got, err)
	}
}
