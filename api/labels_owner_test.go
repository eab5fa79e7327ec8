package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestOwnerOfAVolume(t *testing.T) {
	label := func(setting, value string) []api.Label {
		return []api.Label{{Key: "flocker.volume.data", Value: "/data"}, {Key: "flocker.volume.data." + setting, Value: value}}
	}
	for _, test := range []struct {
		setting, value    string
		user, permissions string
		options           string
		refusal           string
	}{
		{setting: "user", value: "1000", user: "1000:1000"},
		{setting: "user", value: "1000:50", user: "1000:50"},
		{setting: "user", value: "0:0", user: "0:0"},
		{setting: "user", value: "4294967294", user: "4294967294:4294967294"},
		{setting: "user", value: "4294967295", refusal: `user "4294967295" is no owner: write uid or uid:gid`},
		{setting: "user", value: "1:4294967295", refusal: "no owner"},
		{setting: "user", value: "99999999999999999999", refusal: "no owner"},
		{setting: "user", value: "-1", refusal: "no owner"},
		{setting: "user", value: "+1", refusal: "no owner"},
		{setting: "user", value: "postgres", refusal: "no owner"},
		{setting: "user", value: "1:2:3", refusal: "no owner"},
		{setting: "user", value: "1:", refusal: "no owner"},
		{setting: "user", value: ":1", refusal: "no owner"},
		{setting: "user", value: "0x10", refusal: "no owner"},
		{setting: "permissions", value: "0750", permissions: "0750"},
		{setting: "permissions", value: "700", permissions: "0700"},
		{setting: "permissions", value: "000", permissions: "0000"},
		{setting: "permissions", value: "4755", refusal: `permissions "4755" are no permissions: write three octal digits`},
		{setting: "permissions", value: "1777", refusal: "no permissions"},
		{setting: "permissions", value: "2770", refusal: "no permissions"},
		{setting: "permissions", value: "00750", refusal: "no permissions"},
		{setting: "permissions", value: "75", refusal: "no permissions"},
		{setting: "permissions", value: "0", refusal: "no permissions"},
		{setting: "permissions", value: "0o75", refusal: "no permissions"},
		{setting: "permissions", value: "798", refusal: "no permissions"},
		{setting: "permissions", value: "u=rwx", refusal: "no permissions"},
		{setting: "options", value: "suid", options: "suid"},
		{setting: "options", value: "SUID, dev,suid", options: "dev,suid"},
		{setting: "options", value: "suid+dev", options: "dev,suid"},
		{setting: "options", value: "siud", refusal: `option "siud" is not possible: did you mean suid?`},
		{setting: "options", value: "exec", refusal: "it can be dev or suid"},
		{setting: "usr", value: "1000", refusal: "did you mean user?"},
		{setting: "permision", value: "0750", refusal: "did you mean permissions?"},
		{setting: "option", value: "dev", refusal: "did you mean options?"},
	} {
		t.Run(test.setting+" "+test.value, func(t *testing.T) {
			volumes, _, err := api.ParseVolumes("/app", label(test.setting, test.value), nil)
			if test.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), test.refusal) || !strings.Contains(err.Error(), "flocker.volume.data."+test.setting) {
					t.Errorf("got %v, want %q with the label's name", err, test.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v := volumes[0]; v.User != test.user || v.Permissions != test.permissions || v.Options != test.options {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// TestOwnerComesByEveryRoad asks for the same by all front doors.
func TestOwnerComesByEveryRoad(t *testing.T) {
	want := api.VolumeRequest{User: "5:6", Permissions: "0700", Options: "suid"}
	check := func(road string, v api.VolumeRequest, err error) {
		t.Helper()
		if err != nil || v.User != want.User || v.Permissions != want.Permissions || v.Options != want.Options {
			t.Errorf("%s: got %+v, %v", road, v, err)
		}
	}
	one := func(volumes []api.VolumeRequest, _ []string, err error) (api.VolumeRequest, error) {
		if err != nil || len(volumes) != 1 {
			return api.VolumeRequest{}, fmt.Errorf("%d volumes: %w", len(volumes), err)
		}
		return volumes[0], nil
	}
	v, err := one(api.ParseVolumes("/app", []api.Label{{Key: "flocker.volume.data", Value: "path=/data,user=5:6,permissions=700,options=suid"}}, nil))
	check("label of one line", v, err)
	v, err = one(api.ParseVolumes("", nil, []api.Label{
		{Key: "DVDI_VOLUME_NAME", Value: "db"}, {Key: "DVDI_VOLUME_DRIVER", Value: "flocker"}, {Key: "DVDI_VOLUME_CONTAINERPATH", Value: "/data"},
		{Key: "DVDI_VOLUME_OPTS", Value: "user=5:6,permissions=0700,options=suid"},
	}))
	check("environment of mesos-module-dvdi", v, err)
	v, _, err = api.ParseDVDOptions("--volumeopts", "db", []string{"user=5:6", "permissions=0700", "options=suid"})
	check("dvdcli", v, err)
	v, err = api.ParseCSIVolume("db", "ext4", map[string]string{"user": "5:6", "permissions": "0700", "options": "suid"})
	check("CSI", v, err)
}

func TestDemandIsBounded(t *testing.T) {
	var labels []api.Label
	for i := range api.MaxVolumes + 1 {
		labels = append(labels, api.Label{Key: fmt.Sprintf("flocker.volume.v%d", i), Value: fmt.Sprintf("/data/%d", i)})
	}
	if _, _, err := api.ParseVolumes("/app", labels[1:], nil); err != nil {
		t.Errorf("%d volumes: got %v", api.MaxVolumes, err)
	}
	if _, _, err := api.ParseVolumes("/app", labels, nil); err == nil || !strings.Contains(err.Error(), "257 volumes, more than the 256") {
		t.Errorf("%d volumes: got %v, want a refusal", len(labels), err)
	}
	long := []api.Label{{Key: "flocker.volume." + strings.Repeat("k", 65), Value: "/data"}}
	if _, _, err := api.ParseVolumes("/app", long, nil); err == nil || !strings.Contains(err.Error(), "more than the 64") {
		t.Errorf("a long key: got %v, want a refusal", err)
	}
}
