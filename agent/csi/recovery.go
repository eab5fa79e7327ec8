package csi

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/fault"
)

// After the machine was restarted, Mesos stages and publishes every volume that
// was published before, only to unpublish and unstage it: no container has
// survived. If any of these calls fails, the plugin is of no use on that agent,
// for any volume, until it succeeds. But the volume may be another node's by
// then, as it should be, or gone for good.
//
// So these calls are answered without the volume. They are told from those for
// a container by the directory at the target path: whoever unpublishes removes it,
// so where it is still there, and nobody has staged the volume since the machine was
// started, it was published when the machine went down. Mesos, which knows the same,
// has to take it up before it launches anything. The directory is a better memory
// than any of ours: it was made before Mesos could write down that the volume is
// published, so a power cut does not take the one without the other. This is for
// paths as Mesos makes them, and for no others: Kubernetes stages after a restart
// what it will use.
//
// What is published then is a placeholder, a symbolic link that leads nowhere.
// Nobody can write into it, nobody can take it for an empty volume, and no
// container can have it: to bind it fails. That is the worst that can happen
// where Mesos has forgotten what the directory tells, since its own ones were removed
// while the machine was down: the first launch fails, which takes the
// placeholder away, and the next one has the volume.

// recovery is how far Mesos' recovery of a volume has come.
type recovery string

const (
	recoveryStaged    recovery = "staged"
	recoveryPublished recovery = "published" // who stages it once more has a container for it
)

// recovers reports whether a volume is being staged for Mesos' recovery.
func recovers(rec *record, staging string) bool {
	if !rec.empty() {
		return rec.Recovery == recoveryStaged && slices.Contains(rec.Staging, staging)
	}
	path, ok := mesosTarget(rec.Volume, staging)
	if !ok {
		return false
	}
	at, err := lookAt(path)
	return err == nil && (at.directory || at.placeholder)
}

// mesosTarget returns the target path that Mesos has beside a staging path:
// ROOT/VOLUME/staging and ROOT/VOLUME/target. It reports false where the
// staging path is not one of Mesos'.
func mesosTarget(volume, staging string) (string, bool) {
	dir, name := filepath.Split(staging)
	decoded, err := url.PathUnescape(filepath.Base(dir))
	return filepath.Join(dir, "target"), err == nil && name == "staging" && decoded == volume
}

// stageRecovery stages a volume without bringing it.
func (n *node) stageRecovery(rec *record, staging string) error {
	rec.Recovery, rec.Staging = recoveryStaged, []string{staging}
	if err := n.Records.put(rec); err != nil {
		return err
	}
	n.Log.Info("volume staged without bringing it: Mesos takes up what was published before the machine was restarted",
		"volume", rec.Volume, "staging", staging)
	return nil
}

// nowhere is where placeholders lead: nothing can be made there.
const nowhere = "/proc/flocker-placeholder"

// publishPlaceholder puts a placeholder at a path.
func (n *node) publishPlaceholder(rec *record, staging, path string) error {
	at, err := lookAt(path)
	if err != nil {
		return err
	}
	if at.mounted {
		return status.Errorf(codes.FailedPrecondition, "something is mounted at %s: no placeholder for volume %s can be there", path, rec.Volume)
	}
	rec.Recovery = recoveryPublished
	rec.Targets = map[string]target{path: {Staging: staging, Placeholder: true}}
	if err := n.Records.put(rec); err != nil {
		return err
	}
	if at.placeholder {
		return nil
	}
	if err := removeTarget(path); err != nil { // the directory of before
		return err
	}
	if err := os.Symlink(nowhere, path); err != nil {
		return err
	}
	fault.Point("csi.placeholder-made")
	n.Log.Info("placeholder published instead of a volume: Mesos takes up what was published before the machine was restarted",
		"volume", rec.Volume, "target", path)
	return nil
}

func isPlaceholder(path string) bool {
	leads, err := os.Readlink(path)
	return err == nil && leads == nowhere
}
