package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/test/lab"
)

// checkLoops looks for devices that must not be. What they are is given, since
// a listing is no snapshot, by what tells whether a device is there now.
func checkLoops(san string, loops []lab.Loop, attached func(lab.Loop) bool) (anomalies []string) {
	devices := map[string]lab.Loop{}
	for _, l := range loops {
		instance, volume, ok := split(san, l.Backing)
		if !ok {
			continue
		}
		// One reading of the kernel's has device and place: the image moves
		// only when nobody can write to it any more.
		if instance == unattached {
			anomalies = append(anomalies, fmt.Sprintf("%s is a device of volume %s, which is attached nowhere", l.Device, volume))
		}
		other, ok := devices[volume]
		devices[volume] = l
		if ok && other.Device != l.Device && attached(other) && attached(l) && attached(other) {
			anomalies = append(anomalies, fmt.Sprintf("volume %s has two devices, %s and %s", volume, other.Device, l.Device))
		}
	}
	return anomalies
}

// split returns where an image is and which volume's it is.
func split(san, path string) (instance, volume string, ok bool) {
	rest, ok := strings.CutPrefix(path, san+"/")
	if !ok {
		return "", "", false
	}
	switch parts := strings.Split(rest, "/"); {
	case len(parts) == 2 && parts[0] == "unattached":
		return unattached, parts[1], true
	case len(parts) == 3 && parts[0] == "attached":
		return parts[1], parts[2], true
	default:
		return "", "", false
	}
}

// checkMounts looks whether a machine has mounted a volume that is attached to
// another one.
func checkMounts(san, name, instance string, mounts func() ([]string, error)) (anomalies []string) {
	for line, device := range loopMounts(mounts) {
		const looks = 3
		for i := range looks {
			backing := backingOf(san, device)
			in, volume, ok := split(san, backing)
			if !ok || in == instance {
				break // as it should be, or on its way
			}
			// The mount must have been there before and after.
			if loopMounts(mounts)[line] != device {
				break
			}
			if i == looks-1 {
				anomalies = append(anomalies, fmt.Sprintf("%s has mounted %s of volume %s, which is in %s: %s", name, device, volume, placeName(in), line))
			}
		}
	}
	return anomalies
}

// loopMounts returns the mounts of loop devices by their lines of the mount
// table; none of a machine that is off.
func loopMounts(mounts func() ([]string, error)) map[string]string {
	lines, err := mounts()
	if err != nil {
		return nil
	}
	found := map[string]string{}
	for _, line := range lines {
		_, source, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(source); len(fields) > 1 && strings.HasPrefix(fields[1], "/dev/loop") {
			found[line] = fields[1]
		}
	}
	return found
}

// backingOf returns the path of a loop device's file, "" where it has none.
func backingOf(san, device string) string {
	data, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file"))
	if err != nil {
		return ""
	}
	path := strings.TrimSpace(string(data))
	// Without the mount namespace in which it was opened, the path begins at
	// the file system's or the mount's root.
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !strings.HasPrefix(path, san) {
		return filepath.Join(san, path)
	}
	return path
}
