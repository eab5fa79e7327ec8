package csi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/host"
)

// place is what is at a target path: nothing, a directory, a mount, or a
// placeholder.
type place struct {
	host.MountPoint
	mounted     bool
	directory   bool
	placeholder bool
}

// lookAt looks at a target path, and refuses what nobody who speaks CSI puts there.
func lookAt(path string) (place, error) {
	at, mounted, err := host.Mounted(path)
	if err != nil || mounted {
		return place{MountPoint: at, mounted: mounted}, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return place{}, nil
	case err != nil:
		return place{}, fmt.Errorf("look at target path: %w", err)
	case info.IsDir():
		return place{directory: true}, nil
	case isPlaceholder(path):
		return place{placeholder: true}, nil
	default:
		return place{}, status.Errorf(codes.FailedPrecondition, "%s is no directory: remove what is there", path)
	}
}

// makeTarget makes an empty directory to mount on. The one above is the
// caller's.
func makeTarget(path string, at place) error {
	if at.placeholder {
		if err := removeTarget(path); err != nil {
			return err
		}
	}
	err := os.Mkdir(path, 0o750)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return status.Errorf(codes.FailedPrecondition, "there is no directory %s to make the target path in", filepath.Dir(path))
	case errors.Is(err, fs.ErrExist):
		entries, err := os.ReadDir(path)
		if err == nil && len(entries) > 0 {
			return holdsFiles(path)
		}
		return err
	}
	return err
}

// removeTarget removes a directory that is empty, or a placeholder; nothing
// there is fine.
func removeTarget(path string) error {
	err := os.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return holdsFiles(path)
	case err != nil:
		return fmt.Errorf("remove target path: %w", err)
	}
	return nil
}

func holdsFiles(path string) error {
	return status.Errorf(codes.FailedPrecondition, "the directory %s holds files that are in no volume: move them away", path)
}
