package csi

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/flocker-mesos/flocker/api"
)

// FuzzRequest reads any stage call, as it comes over the socket: it is refused,
// or asks for one volume at a path that leads nowhere else, with known flags.
func FuzzRequest(f *testing.F) {
	for _, capability := range []*spec.VolumeCapability{
		nil, {AccessType: &spec.VolumeCapability_Block{Block: &spec.VolumeCapability_BlockVolume{}}},
		{AccessType: &spec.VolumeCapability_Mount{Mount: &spec.VolumeCapability_MountVolume{FsType: "xfs", MountFlags: []string{"ro", "suid", "bind"}}},
			AccessMode: &spec.VolumeCapability_AccessMode{Mode: spec.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY}},
	} {
		data, err := proto.Marshal(&spec.NodeStageVolumeRequest{
			VolumeId: "db", StagingTargetPath: "/var/lib/mesos/../mount", VolumeCapability: capability,
			VolumeContext: map[string]string{"size": "1EiB", "reclaim": "delete"},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req := new(spec.NodeStageVolumeRequest)
		if proto.Unmarshal(data, req) != nil {
			return
		}
		if path := req.GetStagingTargetPath(); checkPath("staging_target_path", path) == nil &&
			(!filepath.IsAbs(path) || slices.Contains(strings.Split(path, "/"), "..") || strings.ContainsAny(path, "\x00\n")) {
			t.Errorf("path %q is taken", path)
		}
		want, err := parseVolume(req.GetVolumeId(), req.GetVolumeCapability(), req.GetVolumeContext())
		if err != nil {
			if api.CodeOf(err) != api.CodeInvalid {
				t.Errorf("refused with %q: %v", api.CodeOf(err), err)
			}
			return
		}
		const known = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME |
			unix.MS_RELATIME | unix.MS_STRICTATIME
		if want.Name == "" || strings.ContainsAny(want.Name, "/\x00\n") || want.Size < 0 || want.flags&^known != 0 || !slices.IsSorted(want.options) {
			t.Errorf("taken: %+v", want)
		}
		if name := filepath.Base((&Records{dir: "/records"}).path(req.GetVolumeId())); len(name) > unix.NAME_MAX || name == "." || name == ".." {
			t.Errorf("the record is kept in %q", name)
		}
	})
}
