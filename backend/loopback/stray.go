package loopback

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// An operator may delete, move or replace the image of an attached volume. The kernel
// keeps the file that it had, and the data with it, until the loop device goes. So a
// loop device is known by a name of its own, and the volume counts as attached here,
// with a reason why it is lost, for as long as the device lives.

// loopName is the name of a volume's loop device: which volume, and which instance of
// which storage. "" for a volume whose id is too long for that.
func (b *Backend) loopName(volumeID string) string {
	const limit = 63 // bytes that the kernel keeps
	sum := sha256.Sum256([]byte(b.root.id + "/" + b.config.InstanceID))
	name := fmt.Sprintf("%s@%x", volumeID, sum[:8])
	if len(name) > limit {
		return ""
	}
	return name
}

// ownLoops returns the loop devices of this instance's volumes.
func (b *Backend) ownLoops(all []host.Loop) map[string]host.Loop {
	own := map[string]host.Loop{}
	for _, loop := range all {
		if id := b.volumeOf(loop); id != "" && !loop.Clearing {
			own[id] = loop
		}
	}
	return own
}

// volumeOf returns the volume of this instance for which a loop device was made: by its
// name, or by the path of a deleted image for a device without such a name, which an
// earlier version made. "" for any other device, such as one that got the number of a
// volume's, with a file that got the number of its image.
func (b *Backend) volumeOf(loop host.Loop) string {
	if i := strings.LastIndexByte(loop.Name, '@'); i >= 0 {
		if id := loop.Name[:i]; isName(id) && loop.Name == b.loopName(id) {
			return id
		}
		return ""
	}
	path, deleted := strings.CutSuffix(host.LoopFile(loop.Number), deletedSuffix)
	if id := filepath.Base(path); deleted && isName(id) && path == b.root.here(id) {
		return id
	}
	return ""
}

// stray returns the loop device that has a volume here while its image is not at its
// place, where image is instead, or nothing.
func (b *Backend) stray(volumeID string, image host.FileID) (host.Loop, bool) {
	known, ok := b.last(volumeID)
	if !ok || sameImage(image, known.Backing) {
		return host.Loop{}, false
	}
	loop, ok := b.remembered(volumeID, known.Backing)
	return loop, ok && b.volumeOf(loop) == volumeID
}

func (b *Backend) isStray(volumeID string) bool {
	if _, ok := b.last(volumeID); !ok {
		return false // without a look at the storage
	}
	image, _ := fileID(b.root.here(volumeID))
	_, ok := b.stray(volumeID, image)
	return ok
}

// deletedSuffix is how the kernel marks the path of a file without a name.
const deletedSuffix = " (deleted)"

// asAttached returns a volume as List does: what its directory says, unless a loop
// device of this machine knows better. found says that v was located.
func (b *Backend) asAttached(volumeID string, v located, found bool) (backend.Volume, bool) {
	var image host.FileID
	if v.AttachedTo == b.config.InstanceID {
		image = v.image
	}
	loop, ok := b.stray(volumeID, image)
	if !ok {
		return v.Volume, found
	}
	return backend.Volume{
		ID: volumeID, DatasetID: volumeID, Name: b.root.readName(volumeID), Size: loop.Size, AttachedTo: b.config.InstanceID,
		Zone: b.root.zone, Lost: b.whyLost(volumeID, loop, v, found),
	}, true
}

// sameImage compares the image at its place with the one behind a loop device. A
// storage that was mounted anew may have another device number.
func sameImage(at, backing host.FileID) bool {
	return at.Inode == backing.Inode && at != host.FileID{}
}

func (b *Backend) whyLost(volumeID string, loop host.Loop, v located, found bool) string {
	here := b.root.here(volumeID)
	if found && v.image == loop.Backing {
		from := b.root.free(volumeID)
		if v.AttachedTo != "" {
			from = b.root.at(v.AttachedTo, volumeID)
		}
		return fmt.Sprintf("its image was moved to %s while it is attached here. Move it back: mv %s %s", from, from, here)
	}
	path := host.LoopFile(loop.Number)
	switch {
	case !strings.HasSuffix(path, deletedSuffix) && path != "" && path != here:
		return fmt.Sprintf("its image was moved to %s while it is attached here. Move it back: mv %s %s", path, path, here)
	case found:
		return fmt.Sprintf("its image %s was replaced by another file while it is attached here. %s shows the old one, and what is written goes "+
			"there; when it is detached, the old one is gone and the new file is the volume. Save it: keep it mounted by a lease, and copy %s",
			b.root.at(v.AttachedTo, volumeID), loop.Path(), loop.Path())
	default:
		return fmt.Sprintf("its image %s was deleted while it is attached here. %s has the data until it is detached, with its last container. "+
			"Save it: keep it mounted by a lease, and copy %s to %s", here, loop.Path(), loop.Path(), here)
	}
}

// all returns all volumes, as attached here those whose loop devices live.
func (b *Backend) all() ([]backend.Volume, error) {
	images, err := b.root.all()
	if err != nil {
		return nil, err
	}
	volumes := make([]backend.Volume, len(images))
	named := make(map[string]bool, len(images))
	for i, v := range images {
		named[v.ID] = true
		volumes[i], _ = b.asAttached(v.ID, v, true)
	}
	for _, id := range b.attachedIDs() {
		if named[id] {
			continue
		}
		if v, ok := b.asAttached(id, located{}, false); ok {
			volumes = append(volumes, v)
		}
	}
	return volumes, nil
}

func (b *Backend) attachedIDs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.loops))
}

// freeStray removes the loop device that stray returns, and reports whether it did.
func (b *Backend) freeStray(volumeID string, image host.FileID) (bool, error) {
	if err := b.scanOnce(); err != nil {
		return false, err
	}
	loop, ok := b.stray(volumeID, image)
	if !ok {
		return false, nil
	}
	if err := host.DetachLoop(loop.Number, loop.Backing); err != nil {
		return false, err
	}
	b.forget(volumeID)
	return true, nil
}

// The pause between two looks at the images of attached volumes. A look takes about two
// microseconds for each.
const (
	overseePause     = time.Second
	overseePerVolume = 2 * time.Millisecond
	overseeLongest   = 10 * time.Second
)

// Oversee looks at the images of attached volumes now and then: a shared storage tells
// nothing of what other machines do.
func (b *Backend) Oversee(ctx context.Context, changed func(volumeID string)) {
	last := map[string]string{}
	timer := time.NewTimer(overseePause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		ids := b.attachedIDs()
		now := make(map[string]string, len(ids))
		rootErr := b.checkRoot()
		for _, id := range ids {
			now[id] = b.glance(id, rootErr)
			if now[id] != last[id] {
				changed(id)
			}
		}
		last = now
		timer.Reset(min(max(overseePause, time.Duration(len(ids))*overseePerVolume), overseeLongest))
	}
}

// glance says in a word what is wrong with the image of an attached volume, "" for
// nothing.
func (b *Backend) glance(volumeID string, rootErr error) string {
	if rootErr != nil {
		return "no storage"
	}
	loop, ok := b.last(volumeID)
	if !ok {
		return ""
	}
	var st unix.Stat_t
	err := unix.Lstat(b.root.here(volumeID), &st)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "no image"
	case err != nil:
		return err.Error()
	case !sameImage(idOf(&st), loop.Backing):
		return "another image"
	case st.Size < loop.Size:
		return "cut short"
	default:
		return ""
	}
}
