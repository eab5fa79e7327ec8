package api

import (
	"maps"
	"slices"
	"strings"
)

// The settings that a CSI volume's context can have, beside those that its
// orchestrator adds.
var csiSettings = []string{
	settingSize, settingProfile, settingFS, settingReclaim, settingGrace, settingUser, settingPermissions, settingOptions,
}

// What Kubernetes adds to the context of a volume: about the pod, and about who
// made the volume.
var csiForeign = []string{"csi.storage.k8s.io/", "storage.kubernetes.io/"}

// CSIMountFlags are the mount flags that a CSI volume can have: those that can
// differ between the places at which one file system is seen.
var CSIMountFlags = []string{"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime"}

// CheckCSIMountFlag refuses any other one.
func CheckCSIMountFlag(flag string) error {
	if slices.Contains(CSIMountFlags, flag) {
		return nil
	}
	return FieldErrorf("volume_capability.mount.mount_flags", "%q is not possible: a volume is mounted once for all its users on a machine, so %s",
		brief(flag), suggest(flag, CSIMountFlags))
}

// ParseCSIVolume returns the volume that a CSI call asks for: by its volume id,
// which is the dataset's name, the file system of its capability, "" for none,
// and its volume context. A plain number as the size is of GiB, as in the other
// external volumes of Marathon's. The volume has neither key nor path. An error
// is a Mistakes whose fields are those of the call.
func ParseCSIVolume(id, fsType string, context map[string]string) (VolumeRequest, error) {
	const idField, fsField = "volume_id", "volume_capability.mount.fs_type"
	p := parser{}
	d := p.draft("", idField)
	p.set(d, settingName, idField, id)
	if id != strings.TrimSpace(id) {
		p.mistake(idField, "%q begins or ends with a space, which a dataset's name does not", brief(id))
	}
	if fsType != "" {
		p.set(d, settingFS, fsField, fsType)
	}
	for _, name := range slices.Sorted(maps.Keys(context)) {
		field, value := "volume_context."+brief(name), context[name]
		switch {
		case slices.ContainsFunc(csiForeign, func(prefix string) bool { return strings.HasPrefix(name, prefix) }):
		case name == settingEach:
			p.mistake(field, "each is for labels alone: CSI does not say for which instance a volume is; "+
				"write the labels %sKEY and %sKEY.each", LabelPrefix, LabelPrefix)
		case !slices.Contains(csiSettings, name):
			p.mistake(field, "%q is not a setting of a CSI volume: %s", brief(name), suggest(name, csiSettings))
		case name == settingFS && strings.EqualFold(value, fsType):
		case name == settingSize:
			p.setGiB(d, field, value)
		default:
			p.set(d, name, field, value)
		}
	}
	v := p.finishSettings(d)
	if len(p.mistakes) > 0 {
		return VolumeRequest{}, p.mistakes
	}
	return v.VolumeRequest, nil
}
