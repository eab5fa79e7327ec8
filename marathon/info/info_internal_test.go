package info

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"marathon","version":"1.11.24","marathon_config":{"task_launch_timeout":300000}}`))
	f.Add([]byte(`{"version":"1","marathon_config":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if info, err := parse(data); err == nil && (info.Version == "" || info.TaskLaunchTimeout < 0) {
			t.Errorf("got %+v", info)
		}
	})
}
