package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CloneMount returns a detached clone of the mount at path, which is the one of
// the device. Another process can move it into its own mount namespace; the
// clone ends with the last descriptor if none did. No symbolic link leads to it.
func CloneMount(path string, device uint64) (*os.File, error) {
	f, err := cloneVolume(path, device)
	if err != nil {
		return nil, fmt.Errorf("clone mount %s: %w", path, err)
	}
	return f, nil
}

func cloneVolume(path string, device uint64) (*os.File, error) {
	at, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	tree, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(tree), path)
	if err := checkDevice(tree, device); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
