package isolator

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxLinks bounds the dangling links that makeDirectory follows, as the
	// kernel bounds those that lead somewhere.
	maxLinks = 40
	// maxRaces bounds how often a path is looked up again while a task
	// renames its directories.
	maxRaces = 100
)

// inside resolves the paths of a container beneath the directory that is the
// container's root. The kernel does it (openat2), so no change that a task
// makes meanwhile leads outside.
type inside struct {
	root    int // descriptor
	resolve uint64
	own     []uint64 // the ids of mounts on which directories may be made
}

// Without an image a task sees the host's files, so a link out of its sandbox
// means another place to it than to us: such a link is refused. In an image
// the links are the image's, and mean what they mean within it.
const (
	resolveInSandbox = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	resolveInImage   = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
)

// open returns an O_PATH descriptor of a directory that exists.
func (in *inside) open(path string) (int, error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: in.resolve}
	for range maxRaces {
		fd, err := unix.Openat2(in.root, path, how)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue // a rename came between
		case errors.Is(err, unix.ENOSYS):
			return -1, errKernel
		case errors.Is(err, unix.EXDEV):
			return -1, errors.New("a symbolic link there leads out of the sandbox; use a link that stays inside, or none")
		case errors.Is(err, unix.ELOOP):
			return -1, errors.New("too many levels of symbolic links, or one of the kernel's")
		case err != nil:
			return -1, err
		}
		return fd, nil
	}
	return -1, errors.New("its directories are renamed all the time")
}

// makeDirectory is open that makes the directories that are missing. It makes
// them on the container's own mounts alone: another mount, such as a directory
// of the host, may be one that the task must not write to.
func (in *inside) makeDirectory(path string) (int, error) {
	names := split(path)
	links, races := 0, 0
	for i := 1; i <= len(names); {
		fd, err := in.open(strings.Join(names[:i], "/"))
		if err == nil {
			if i == len(names) {
				return fd, nil
			}
			unix.Close(fd)
			i++
			races = 0
			continue
		}
		if !errors.Is(err, unix.ENOENT) {
			return -1, fmt.Errorf("open %s: %w", strings.Join(names[:i], "/"), err)
		}
		link, err := in.makeOne(names[:i-1], names[i-1])
		if err != nil {
			return -1, fmt.Errorf("make directory %s: %w", strings.Join(names[:i], "/"), err)
		}
		if link == "" {
			if races++; races > maxRaces {
				return -1, fmt.Errorf("make directory %s: it is removed all the time", strings.Join(names[:i], "/"))
			}
			continue // look whether it is there
		}
		if links++; links > maxLinks {
			return -1, fmt.Errorf("open %s: too many levels of symbolic links", strings.Join(names[:i], "/"))
		}
		rest := slices.Concat(split(link), names[i:])
		if !strings.HasPrefix(link, "/") {
			rest = slices.Concat(names[:i-1], rest)
		} else if in.resolve&unix.RESOLVE_BENEATH != 0 {
			return -1, fmt.Errorf("open %s: a symbolic link there leads out of the sandbox", strings.Join(names[:i], "/"))
		}
		names, i = rest, 1
	}
	return -1, errors.New("a symbolic link there leads to the top")
}

// makeOne makes one directory. Where there is a link that leads nowhere it
// returns what the link says.
func (in *inside) makeOne(parents []string, name string) (link string, err error) {
	parent := in.root
	if len(parents) > 0 {
		if parent, err = in.open(strings.Join(parents, "/")); err != nil {
			return "", err
		}
		defer unix.Close(parent)
	}
	_, mount, err := identify(parent)
	if err != nil {
		return "", err
	}
	if !slices.Contains(in.own, mount) {
		return "", errors.New("it is missing on another mount of the container, where flocker makes none: make it there")
	}
	err = unix.Mkdirat(parent, name, 0o755)
	if !errors.Is(err, unix.EEXIST) {
		return "", err
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(parent, name, buffer)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return "", nil // it was exchanged meanwhile
	case err != nil:
		return "", err
	}
	return string(buffer[:n]), nil
}

// split returns the elements of a path. Elements ".." stay: what they mean the
// kernel decides.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(e string) bool { return e == "" || e == "." })
}
