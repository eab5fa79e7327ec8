package csi

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
)

// maxPath bounds a path, as the kernel does.
const maxPath = 4095

// checkPath refuses a path that could be anywhere but where it says.
func checkPath(field, path string) error {
	switch {
	case path == "":
		return api.FieldErrorf(field, "is missing")
	case len(path) > maxPath:
		return api.FieldErrorf(field, "is longer than %d bytes", maxPath)
	case strings.ContainsFunc(path, unicode.IsControl):
		return api.FieldErrorf(field, "%q has a control character in it", path)
	case !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/":
		return api.FieldErrorf(field, "%q is not an absolute path below / without . and ..", path)
	}
	return nil
}

// checkID refuses calls about no volume.
func checkID(id string) error {
	if id == "" {
		return api.FieldErrorf("volume_id", "is missing: it is the name of a dataset")
	}
	return nil
}

// wanted is what a call asks for.
type wanted struct {
	api.VolumeRequest
	options []string // of the mount at the target, sorted
	flags   uintptr  // the same for mount(2)
}

// parseVolume reads what stage and publish calls have in common.
func parseVolume(id string, capability *spec.VolumeCapability, context map[string]string) (wanted, error) {
	if err := checkID(id); err != nil {
		return wanted{}, err
	}
	mount := capability.GetMount()
	switch {
	case capability == nil:
		return wanted{}, api.FieldErrorf("volume_capability", "is missing: ask for access type mount and access mode SINGLE_NODE_WRITER")
	case capability.GetBlock() != nil:
		return wanted{}, api.FieldErrorf("volume_capability", "access type block is not possible: volumes of Flocker's are file systems; ask for mount")
	case mount == nil:
		return wanted{}, api.FieldErrorf("volume_capability", "the access type is missing: ask for mount")
	}
	volume, err := api.ParseCSIVolume(id, mount.GetFsType(), context)
	if err != nil {
		return wanted{}, err
	}
	volume.Key = "csi"
	w := wanted{VolumeRequest: volume}
	for _, option := range mount.GetMountFlags() {
		if err := api.CheckCSIMountFlag(option); err != nil {
			return wanted{}, err
		}
		w.add(option, mountOptions[option])
	}
	return w, w.addMode(capability.GetAccessMode().GetMode())
}

// addMode heeds the access mode.
func (w *wanted) addMode(mode spec.VolumeCapability_AccessMode_Mode) error {
	switch mode {
	case spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, spec.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER:
		return nil
	case spec.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
		w.add("ro", unix.MS_RDONLY)
		return nil
	default:
		return api.FieldErrorf("volume_capability.access_mode", "%s is not possible: a volume of Flocker's is on one machine at a time, "+
			"where all containers share it; ask for SINGLE_NODE_WRITER or SINGLE_NODE_READER_ONLY", mode)
	}
}

func (w *wanted) add(option string, flag uintptr) {
	if option == "rw" || slices.Contains(w.options, option) {
		return
	}
	w.flags |= flag
	w.options = append(w.options, option)
	slices.Sort(w.options)
}

// mountOptions are api.CSIMountFlags for mount(2).
var mountOptions = map[string]uintptr{
	"rw": 0, "ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME, "strictatime": unix.MS_STRICTATIME,
}

// consumerOf is the consumer for all who have a volume on this node.
func consumerOf(volume string) string { return "csi:" + volume }
