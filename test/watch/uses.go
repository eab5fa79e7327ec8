package watch

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Use is a living use of a volume on a machine, by a program that Flocker gave it to.
type Use struct {
	User     string // for people
	Volume   string // the name of its image
	Instance string // the machine, by its directory on the storage
	Path     string // where it is mounted there
	Device   uint64 // as stat shows it there
	Mounts   func() ([]string, error)
	// MayEnd reports whether the use may be ended now, or has ended with its machine.
	MayEnd func() bool
}

// Begin watches a use from now on, until end is called: its image must stay with its
// machine, and its mount and device must stay as they are. End comes before the user
// gives the volume up.
func (w *Watch) Begin(ctx context.Context, u *Use) (end func(context.Context) error, err error) {
	// What happened to the image before must not be blamed on this use, and what
	// happens before its end must.
	if err := w.images.sync(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.uses[u] = true
	w.looks.Uses++
	w.mu.Unlock()
	return func(ctx context.Context) error {
		err := w.images.sync(ctx)
		w.mu.Lock()
		delete(w.uses, u)
		w.mu.Unlock()
		return err
	}, nil
}

// living returns the uses that are watched and may not be ended.
func (w *Watch) living(of func(*Use) bool) (all []*Use) {
	w.mu.Lock()
	for u := range w.uses {
		if of(u) {
			all = append(all, u)
		}
	}
	w.mu.Unlock()
	living := all[:0]
	for _, u := range all {
		if !u.MayEnd() {
			living = append(living, u)
		}
	}
	return living
}

// left is told that an image has left a machine.
func (w *Watch) left(instance, volume string) {
	for _, u := range w.living(func(u *Use) bool { return u.Volume == volume && u.Instance == instance }) {
		w.report("volume %s was taken from %s, where %s uses it", volume, placeName(instance), u.User)
	}
}

// lookAtUses compares mounts and devices with the uses of volumes.
func (w *Watch) lookAtUses() {
	for _, u := range w.living(func(*Use) bool { return true }) {
		lines, err := u.Mounts()
		if err != nil {
			continue // the machine is off
		}
		wrong := checkUse(w.cluster.Lab.SAN, u, lines, backingOf)
		if wrong == "" {
			continue
		}
		// The use was watched before and is still: what was seen was seen during it.
		for range w.living(func(other *Use) bool { return other == u }) {
			w.report("%s uses volume %s on %s, and %s", u.User, u.Volume, placeName(u.Instance), wrong)
		}
	}
}

// checkUse returns what is wrong with the mount of a volume that is in use, "" for
// nothing.
func checkUse(san string, u *Use, lines []string, backing func(san, device string) string) string {
	number := fmt.Sprintf("%d:%d", unix.Major(u.Device), unix.Minor(u.Device))
	var source string
	for _, line := range lines {
		before, after, _ := strings.Cut(line, " - ")
		fields, behind := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(behind) > 1 && fields[4] == u.Path && fields[2] == number {
			source = behind[1]
		}
	}
	if source == "" {
		return fmt.Sprintf("device %s is not mounted at %s", number, u.Path)
	}
	file := backing(san, source)
	if want := filepath.Join(san, "attached", u.Instance, u.Volume); file != want {
		return fmt.Sprintf("%s at %s is a device of %q, not of %s", source, u.Path, file, want)
	}
	return ""
}
