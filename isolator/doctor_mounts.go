package isolator

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// MountPoint is a line of a mountinfo file (proc_pid_mountinfo(5)).
type MountPoint struct {
	Path   string
	Shared string // its peer group, "" if it is not shared
	Master string // the peer group that it receives mounts from, "" for none
}

func readMounts(path string) ([]MountPoint, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return parseMounts(string(data)), nil
}

// parseMounts reads a mountinfo file, and skips lines it does not understand.
func parseMounts(text string) []MountPoint {
	var mounts []MountPoint
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		m := MountPoint{Path: unescape(fields[4])}
		for _, f := range fields[6:] {
			if f == "-" {
				break
			}
			if group, ok := strings.CutPrefix(f, "shared:"); ok {
				m.Shared = group
			}
			if group, ok := strings.CutPrefix(f, "master:"); ok {
				m.Master = group
			}
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes the kernel's octal escapes of white space and backslashes.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// mountAt returns what is mounted at a path, on top.
func mountAt(mounts []MountPoint, path string) (MountPoint, bool) {
	for _, m := range slices.Backward(mounts) {
		if m.Path == path {
			return m, true
		}
	}
	return MountPoint{}, false
}

// judgeMounts looks at how volumes of docker/volume and CSI reach a container:
// from the mount root through the Mesos agent's mount namespace. Labelled
// volumes are handed to the container's launch process instead, but an unmount
// on the host must reach the copies that containers inherit.
func judgeMounts(f *Facts) []Finding {
	const subject = "mount propagation"
	if f.Agent == nil {
		return nil // judgeAgent has said so
	}
	root := f.Agent.MountRoot
	if f.MountsErr != nil {
		return []Finding{warn(subject, "can't be examined: %v", f.MountsErr)}
	}
	here, ok1 := mountAt(f.Mounts, root)
	switch {
	case !ok1:
		return []Finding{fail(subject, "%s is not a mount point here: start this doctor in the mount namespace of the "+
			"flocker agent, or restart the agent, which mounts it", root)}
	case here.Shared == "":
		return []Finding{fail(subject, "%s is not a shared mount, so volumes do not reach containers: restart the "+
			"flocker agent, which makes it one, outside of any unit with PrivateMounts= or MountFlags=", root)}
	case f.Mesos == nil:
		return []Finding{ok(subject, "%s is a shared mount here; the Mesos agent's view of it was not examined", root)}
	}
	there, ok2 := mountAt(f.MesosMounts, root)
	switch {
	case !ok2:
		return []Finding{fail(subject, "the Mesos agent, process %d, does not see %s: it is in a mount namespace of its own; "+
			"remove PrivateMounts= and MountFlags= from its unit and restart it", f.Mesos.PID, root)}
	case there.Shared == here.Shared || there.Master == here.Shared:
		return []Finding{ok(subject, "%s is shared, and the Mesos agent receives what is mounted there", root)}
	case there.Shared != "" || there.Master != "":
		return []Finding{warn(subject, "the Mesos agent, process %d, has %s from another peer group: volumes may not reach "+
			"its containers; restart it after the flocker agent", f.Mesos.PID, root)}
	default:
		return []Finding{fail(subject, "%s is private in the mount namespace of the Mesos agent, process %d: remove "+
			"PrivateMounts= and MountFlags=private from its unit and restart it", root, f.Mesos.PID)}
	}
}
