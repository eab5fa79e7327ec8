package loopback

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/fault"
)

// A volume's name is the target of a link beside its image, in the directory names.
// A link is made, read and replaced with one system call each, never with half a
// name in it, and is as durable as the image's own name. It leads nowhere and is
// never followed.

// namePrefix begins the target of each link.
const namePrefix = "name:"

func (r *root) names() string                 { return filepath.Join(r.path, "names") }
func (r *root) nameOf(volumeID string) string { return filepath.Join(r.names(), volumeID) }

// readName returns the name of a volume, "" for one of before names were kept, or
// where something else is in the place of the link.
func (r *root) readName(volumeID string) string {
	target, err := os.Readlink(r.nameOf(volumeID))
	if err != nil {
		return ""
	}
	escaped, ok := strings.CutPrefix(target, namePrefix)
	if !ok {
		return ""
	}
	return unescapeName.Replace(escaped)
}

// Names have at most 256 characters; of four bytes each they are too long for links
// on XFS if many more than these are escaped.
var (
	escapeName   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescapeName = strings.NewReplacer("%25", "%", "%2F", "/")
)

// writeName gives a volume a name.
func (r *root) writeName(volumeID, name string) error {
	if r.readName(volumeID) == name {
		return nil
	}
	path := r.nameOf(volumeID)
	if name == "" {
		return r.removeName(volumeID)
	}
	target := namePrefix + escapeName.Replace(name)
	err := os.Symlink(target, path)
	if errors.Is(err, unix.ENAMETOOLONG) {
		return nil // 256 characters of four bytes on XFS: such a volume is found by its id alone
	}
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	temporary := filepath.Join(r.names(), leftoverPrefix+volumeID)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	fault.Point("loopback.renamed")
	return os.Rename(temporary, path)
}

func (r *root) removeName(volumeID string) error {
	if err := os.Remove(r.nameOf(volumeID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// SetName gives a volume another name.
func (b *Backend) SetName(ctx context.Context, volumeID, name string) error {
	return wrapVolume("name", volumeID, b.setName(ctx, volumeID, name))
}

func (b *Backend) setName(ctx context.Context, volumeID, name string) error {
	if !isName(volumeID) {
		return backend.ErrUnknownVolume
	}
	end, err := b.begin(ctx, volumeID)
	if err != nil {
		return err
	}
	defer end()
	if _, found, err := b.root.locate(volumeID); err != nil || !found {
		return errors.Join(err, b.checkRoot(), backend.ErrUnknownVolume)
	}
	return b.root.writeName(volumeID, name)
}
