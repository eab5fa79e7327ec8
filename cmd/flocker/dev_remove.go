package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

// remove gives this machine back as it was before flocker dev. It stops, with
// nothing destroyed, where something still uses a volume.
func (d *devDir) remove(w io.Writer) error {
	root, err := filepath.EvalSymlinks(d.root)
	if err != nil {
		return fmt.Errorf("find directory: %w", err)
	}
	if err := unmountBelow(filepath.Join(root, "volumes")); err != nil {
		return err
	}
	if err := d.removeMountRoot(); err != nil {
		return err
	}
	if err := d.detachImages(); err != nil {
		return err
	}
	if err := os.RemoveAll(d.root); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	fmt.Fprintf(w, "Removed %s.\n", d.root)
	return nil
}

// unmountBelow unmounts everything below a directory, the latest first.
func unmountBelow(dir string) error {
	mounts, err := host.MountTable()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if !strings.HasPrefix(m.Target, dir+"/") {
			continue
		}
		if err := host.Unmount(m.Target); err != nil {
			return fmt.Errorf("%w; something still uses it, and nothing was removed", err)
		}
	}
	return nil
}

// removeMountRoot takes away what keeps anybody from writing beside volumes.
func (d *devDir) removeMountRoot() error {
	below := d.path("run", "mnt")
	if _, err := os.Stat(below); err != nil {
		return nil // no agent has run yet
	}
	root, err := host.OpenMountRoot(below, d.path("volumes"))
	if err != nil {
		return err
	}
	return root.Remove()
}

// detachImages detaches the loop devices of all volumes in the directory.
func (d *devDir) detachImages() error {
	images := map[host.FileID]bool{}
	err := filepath.WalkDir(d.path("storage"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		images[host.FileID{Dev: st.Dev, Inode: st.Ino}] = true
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("find volumes: %w", err)
	}
	loops, err := host.ScanLoops()
	if err != nil {
		return err
	}
	for _, l := range loops {
		if !images[l.Backing] {
			continue
		}
		if err := host.DetachLoop(l.Number, l.Backing); err != nil {
			return err
		}
	}
	return nil
}
