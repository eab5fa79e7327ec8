package marathon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/marathon"
)

func TestVolumesOfAppsAreFoundInAllForms(t *testing.T) {
	for _, tc := range []struct{ name, app, want string }{
		{"none", `{"id": "/web"}`, ``},
		{"a label", `{"id": "/prod/db", "labels": {"flocker.volume.data": "/data", "flocker.volume.data.size": "1GiB"}}`,
			`labels at labels: data=prod.db.data 1073741824 at /data`},
		{"dvdi", `{"id": "/db", "container": {"type": "MESOS", "volumes": [{"containerPath": "a", "mode": "RW"},
			{"containerPath": "/data", "mode": "RO", "external": {"provider": "dvdi", "name": "db", "size": 3,
			"options": {"dvdi/driver": "flocker", "dvdi/profile": "gold", "dvdi/fsType": "xfs", "dvdi/size": "9"}}}]}}`,
			`dvdi at container.volumes[1]: db=db 3221225472 at /data xfs gold ro`},
		{"dvdi of others", `{"id": "/db", "container": {"volumes": [{"containerPath": "/data", "external": {"provider": "dvdi", "name": "db", "options": {"dvdi/driver": "rexray"}}}]}}`, ``},
		{"csi", `{"id": "/db", "container": {"volumes": [{"containerPath": "data", "mode": "RW", "external": {"provider": "csi", "name": "db",
			"options": {"pluginName": "csi.flocker.mesos", "capability": {"accessMode": "SINGLE_NODE_WRITER", "fsType": "ext4"}, "volumeContext": {"size": "2GiB"}}}}]}}`,
			`csi at container.volumes[0]: db=db 2147483648 at data ext4`},
		{"dvdi to be deleted with its app", external("dvdi", `"dvdi/driver": "flocker", "dvdi/grace": "72h", "dvdi/reclaim": "delete"`),
			`dvdi at container.volumes[0]: db=db 0 at /data reclaim delete after 72h0m0s`},
		{"dvdi by older names", external("dvdi", `"dvdi/driver": "flocker", "dvdi/Reclaim": "DELETE", "dvdi/Grace": "1h"`),
			`dvdi at container.volumes[0]: db=db 0 at /data reclaim delete after 1h0m0s`},
		{"dvdi with a mistake", external("dvdi", `"dvdi/driver": "flocker", "dvdi/grace": "72h", "dvdi/reclaim": "delet", "dvdi/profile": "gold"`),
			`dvdi at container.volumes[0]: db=db 0 at /data gold`},
		{"csi to be deleted with its app", external("csi", `"pluginName": "csi.flocker.mesos", "volumeContext": {"grace": "90m", "reclaim": "delete", "profile": "gold"}`),
			`csi at container.volumes[0]: db=db 0 at /data gold reclaim delete after 1h30m0s`},
		{"csi to be kept", external("csi", `"pluginName": "csi.flocker.mesos", "volumeContext": {"reclaim": "keep"}`),
			`csi at container.volumes[0]: db=db 0 at /data reclaim keep after 0s`},
		{"csi with mistakes", external("csi", `"pluginName": "csi.flocker.mesos", "capability": {"fsType": "btrfs"},
			"volumeContext": {"reclaim": true, "grace": "72h", "sise": "1GiB", "size": "5"}`),
			`csi at container.volumes[0]: db=db 5368709120 at /data`},
		{"a secret in the environment", `{"id": "/db", "env": {"PASSWORD": {"secret": "s"}}, "labels": {"flocker.volume.data": "/data"}}`,
			`labels at labels: data=db.data 0 at /data`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var app marathon.App
			if err := json.Unmarshal([]byte(tc.app), &app); err != nil {
				t.Fatal(err)
			}
			volumes, err := app.Volumes()
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(volumes); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// external is an app with one external volume.
func external(provider, options string) string {
	return `{"id": "/db", "container": {"volumes": [{"containerPath": "/data", "mode": "RW", "external": {"provider": "` + provider + `", "name": "db", "options": {` +
		options + `}}}]}}`
}

func texts(volumes []marathon.Volume) string {
	var all []string
	for _, v := range volumes {
		text := fmt.Sprintf("%s at %s: %s=%s %d at %s %s %s", v.Form, v.At, v.Key, v.Name, v.Size, v.Path, v.FS, v.Profile)
		if v.Reclaim != "" {
			text += fmt.Sprintf(" reclaim %s after %s", v.Reclaim, v.Grace)
		}
		if v.ReadOnly {
			text += " ro"
		}
		all = append(all, strings.Join(strings.Fields(text), " "))
	}
	return strings.Join(all, "; ")
}

func TestVolumesOfPodsAreFound(t *testing.T) {
	var pod marathon.Pod
	err := json.Unmarshal([]byte(`{"id": "/web", "labels": {"flocker.volume.shared": "/s"}, "scaling": {"kind": "fixed", "instances": 2},
		"containers": [{"name": "a"}, {"name": "b", "labels": {"flocker.volume.data": "/d"}}],
		"scheduling": {"unreachableStrategy": "disabled"}}`), &pod)
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := pod.Volumes()
	if got, want := texts(volumes), "labels at labels: shared=web.shared 0 at /s; labels at containers[1].labels: data=web.data 0 at /d"; got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if pod.Count() != 2 || !pod.Scheduling.UnreachableStrategy.Disabled {
		t.Errorf("got %+v", pod)
	}
}
