package api_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestCSIVolume(t *testing.T) {
	for name, tt := range map[string]struct {
		id, fs  string
		context map[string]string
		want    api.VolumeRequest
		wrong   []string
	}{
		"a name alone": {id: "db", want: api.VolumeRequest{Name: "db"}},
		"everything": {
			id: "shop/db", fs: "XFS", context: map[string]string{"size": "5GiB", "profile": "gold", "fs": "xfs"},
			want: api.VolumeRequest{Name: "shop/db", FS: "xfs", Size: 5 << 30, Profile: "gold"},
		},
		"a plain number is of GiB": {id: "db", context: map[string]string{"size": "20"}, want: api.VolumeRequest{Name: "db", Size: 20 << 30}},
		"reclaim is for others": {
			id: "db", context: map[string]string{"reclaim": "delete"},
			want: api.VolumeRequest{Name: "db", Reclaim: api.ReclaimDelete},
		},
		"what Kubernetes adds": {
			id: "db", context: map[string]string{"csi.storage.k8s.io/pod.name": "db-0", "storage.kubernetes.io/csiProvisionerIdentity": "x"},
			want: api.VolumeRequest{Name: "db"},
		},
		"no name":           {wrong: []string{`volume_id: name "" is empty`}},
		"a name with lines": {id: "d\nb", wrong: []string{"volume_id:", "control character"}},
		"a name with space": {id: "db ", wrong: []string{`volume_id: "db " begins or ends with a space`}},
		"a long name":       {id: strings.Repeat("x", 300), wrong: []string{"volume_id:", "too long"}},
		"a typo":            {id: "db", context: map[string]string{"sise": "1G"}, wrong: []string{`volume_context.sise: "sise" is not a setting of a CSI volume: did you mean size?`}},
		"a strange setting": {id: "db", context: map[string]string{"password": "s3cret"}, wrong: []string{"volume_context.password:", "it can be size, profile, fs, reclaim, grace, user, permissions or options"}},
		"a set":             {id: "db", context: map[string]string{"each": "true"}, wrong: []string{"volume_context.each: each is for labels alone"}},
		"a bad size":        {id: "db", context: map[string]string{"size": "big"}, wrong: []string{`volume_context.size: size "big" is not a size`}},
		"a strange file system": {
			id: "db", fs: "btrfs", wrong: []string{`volume_capability.mount.fs_type: fs "btrfs" is not possible: it can be ext4 or xfs`},
		},
		"two file systems": {
			id: "db", fs: "ext4", context: map[string]string{"fs": "xfs"},
			wrong: []string{"volume_context.fs: fs is given twice", "volume_capability.mount.fs_type"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := api.ParseCSIVolume(tt.id, tt.fs, tt.context)
			if len(tt.wrong) == 0 && (err != nil || got != tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
			if len(tt.wrong) > 0 && (err == nil || api.CodeOf(err) != api.CodeInvalid) {
				t.Fatalf("got %v, want it refused as invalid", err)
			}
			for _, want := range tt.wrong {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the value of an unknown setting is in %q", err)
			}
		})
	}
}

func FuzzCSIVolume(f *testing.F) {
	f.Add("db", "ext4", "size", "5GiB", "profile", "gold")
	f.Add("", "", "each", "true", "csi.storage.k8s.io/pod.name", "x")
	f.Fuzz(func(t *testing.T, id, fs, key, value, otherKey, otherValue string) {
		v, err := api.ParseCSIVolume(id, fs, map[string]string{key: value, otherKey: otherValue})
		switch {
		case err != nil && api.CodeOf(err) != api.CodeInvalid:
			t.Errorf("refused with %v", err)
		case err != nil && len(err.Error()) > 1<<14:
			t.Errorf("refused with %d bytes", len(err.Error()))
		case err == nil && (v.Name != id || v.Size < 0 || v.Each != 0 || v.Preempt):
			t.Errorf("%q asks for %+v", id, v)
		}
	})
}
