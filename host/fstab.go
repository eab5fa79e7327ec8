package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NotMountedError says that a file system of /etc/fstab is not mounted.
type NotMountedError struct {
	Path       string // that was asked for
	MountPoint string // at or above it
}

// Error implements error.
func (e *NotMountedError) Error() string {
	return fmt.Sprintf("%s is not there yet: /etc/fstab has a file system for %s, which is not mounted", e.Path, e.MountPoint)
}

// CheckMounted returns a *NotMountedError if a path lies in a file system of /etc/fstab
// that is not mounted. The mount would hide what is written there before.
func CheckMounted(path string) error {
	table, err := os.ReadFile("/etc/fstab")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read table of file systems: %w", err)
	}
	mounts, err := MountTable()
	if err != nil {
		return err
	}
	at := func(point string) bool {
		return slices.ContainsFunc(mounts, func(m MountEntry) bool { return m.Target == point })
	}
	if point := missingMount(string(table), resolve(path), at); point != "" {
		return &NotMountedError{Path: path, MountPoint: point}
	}
	return nil
}

// missingMount returns the mount point in an fstab(5) table that is at or above a path
// and has nothing mounted, "" if all such are mounted.
func missingMount(table, path string, mounted func(string) bool) string {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.HasPrefix(fields[0], "#") || slices.Contains(strings.Split(fields[3], ","), "noauto") {
			continue
		}
		point := unescapeOctal(fields[1])
		if !filepath.IsAbs(point) || point == "/" {
			continue // the root is always mounted, and swap has no place
		}
		if point = filepath.Clean(point); within(path, point) && !mounted(point) {
			return point
		}
	}
	return ""
}

// resolve follows the symbolic links of the part of a path that exists.
func resolve(path string) string {
	path = filepath.Clean(path)
	for rest, dir := "", path; ; rest, dir = filepath.Join(filepath.Base(dir), rest), filepath.Dir(dir) {
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(target, rest)
		}
		if dir == "/" {
			return path
		}
	}
}
