package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
)

// A view is a further bind mount of a volume, with flags of its own.
//
// Consumers that ask for mount options (api.MountOptions) share a view of the volume
// that lifts these restrictions; for all others they hold.
//
// A member of a volume set is bound once more, at a mount point of the one container
// that it belongs to. Mesos is told of that mount point before anybody knows which
// member it will be; and what a container has bound is never another one's.

const memberSuffix = ".member"

// viewName returns the name of a view. It has in it what differs from the volume's own
// mount, so what is found after a restart of the agent tells by itself what it must be.
func viewName(base string, readOnly bool, options string) string {
	if options != "" {
		base += "." + strings.ReplaceAll(options, ",", "+")
	}
	if readOnly {
		base += viewSuffix
	}
	return base + memberSuffix
}

// lifted returns the flags of host.Restricted that a mount point's name says its mount
// has not.
func lifted(name string) (flags uintptr) {
	if !isMemberView(name) {
		return 0
	}
	for part := range strings.SplitSeq(name, ".") {
		for option := range strings.SplitSeq(part, "+") {
			switch option {
			case api.OptionDev:
				flags |= unix.MS_NODEV
			case api.OptionSuid:
				flags |= unix.MS_NOSUID
			}
		}
	}
	return flags
}

// memberView returns the name of the mount point at which a container, and those
// that are in it, see their member of a set.
func memberView(consumer, set string, readOnly bool, options string) string {
	sum := sha256.Sum256([]byte(api.RootConsumer(consumer) + "\x00" + set))
	return viewName(hex.EncodeToString(sum[:16]), readOnly, options)
}

func isMemberView(name string) bool { return strings.HasSuffix(name, memberSuffix) }

func readOnlyView(name string) bool { return strings.HasSuffix(name, viewSuffix+memberSuffix) }

// views are the mount points at which members are mounted: the numbers of the
// devices by the names. The zero value is ready to use.
type views struct {
	mu sync.Mutex
	at map[string]uint64
}

// found takes over what is mounted.
func (v *views) found(mounts map[string]uint64) {
	for name, device := range mounts {
		if isMemberView(name) {
			v.set(name, device)
		}
	}
}

func (v *views) set(name string, device uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.at == nil {
		v.at = map[string]uint64{}
	}
	if device == 0 {
		delete(v.at, name)
	} else {
		v.at[name] = device
	}
}

// on returns where a device is mounted, in order.
func (v *views) on(device uint64) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if device == 0 || len(v.at) == 0 {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(v.at)) {
		if v.at[name] == device {
			names = append(names, name)
		}
	}
	return names
}

// are reports whether a device is mounted at these, in order, and nowhere else.
func (v *views) are(device uint64, names []string) bool { return slices.Equal(v.on(device), names) }

// check forgets where a device is no longer mounted.
func (v *views) check(device uint64, path func(string) string) error {
	for _, name := range v.on(device) {
		at, ok, err := host.Mounted(path(name))
		if err != nil {
			return err
		}
		if !ok || at.Device != device {
			v.set(name, 0)
		}
	}
	return nil
}

// bindViews mounts a dataset, which is mounted, where it should be seen as a member
// of a set, and nowhere else.
func (s *stepper) bindViews(id api.DatasetID, seen sight, want []string) error {
	for _, name := range s.views.on(seen.mounted) {
		if slices.Contains(want, name) {
			continue
		}
		if err := host.Unmount(s.root.Path(name)); err != nil {
			return err
		}
		s.views.set(name, 0)
		fault.Point("agent.view-unmounted")
		s.removeView(name)
	}
	for _, name := range want {
		if slices.Contains(s.views.on(seen.mounted), name) {
			continue
		}
		target, err := s.root.MakeMountPoint(name)
		if err != nil {
			return err
		}
		var flags uintptr
		if readOnlyView(name) {
			flags = unix.MS_RDONLY
		}
		if err := host.BindLifting(s.path(id), target, flags, lifted(name)); err != nil {
			return err
		}
		s.views.set(name, seen.mounted)
		fault.Point("agent.view-bound")
	}
	return nil
}

// removeView removes a mount point that no consumer has.
func (s *stepper) removeView(name string) {
	if s.journal.hasView(name) {
		return
	}
	if err := s.root.RemoveMountPoint(name); err != nil && !errors.Is(err, host.ErrBusy) {
		s.log.Warn("cannot remove mount point", "name", name, "cause", err)
	}
}

// removeStaleViews removes the mount points of consumers that have ended while no
// agent was there.
func (a *Agent) removeStaleViews(mounts map[string]uint64) {
	if a.volumes.journal.countAsides() > 0 {
		return // a consumer may wait for what is to be mounted there
	}
	names, err := a.root.MountPoints()
	if err != nil {
		a.deps.Log.Warn("cannot look for mount points that nobody needs", "cause", err)
		return
	}
	for _, name := range names {
		if _, mounted := mounts[name]; isMemberView(name) && !mounted {
			a.stepper.removeView(name)
		}
	}
}
