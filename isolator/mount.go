package isolator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Space is the file tree of a container, in which its volumes are mounted.
type Space struct {
	Sandbox Directory
	// Rootfs is the image's root directory, and View is where the container
	// sees its sandbox in it. Both are unset without an image.
	Rootfs Directory
	View   string
}

// Target is where a volume goes: a path as the container sees it.
type Target struct {
	Key      string
	Path     string // relative to the sandbox unless it is absolute
	ReadOnly bool
}

// Mounter waits, in the launch process and the mount namespace of a container,
// until the container's volumes are ready, and mounts them.
//
// A task, or another one of the same user, may change all that lies in the
// sandbox meanwhile, and the image is the user's. So nothing is mounted by a
// path: the agent hands over each volume as a detached mount, the kernel looks
// each target up beneath the container's root directory, and the mount is moved
// onto the descriptor of the directory that was found.
type Mounter struct {
	Client   *Client
	Consumer string
	Space    Space
	Targets  []Target
	Outside  uint64        // the Mesos agent's mount namespace
	Limit    time.Duration // of the agent's patience
	Log      io.Writer     // the task's stderr
	Later    *Later        // what prepare could not ask for, nil where it could

	began time.Time
}

// Run returns when all volumes show at their targets, or when the container turns out to
// ask for none. It waits for an agent that is away. An error says in a sentence why the
// task can't start.
func (m *Mounter) Run(ctx context.Context) error {
	unix.Umask(0)
	if err := Enter(m.Outside); err != nil {
		return err
	}
	trees, err := m.Await(ctx)
	switch {
	case errors.Is(err, errNoVolumes):
		return nil
	case err != nil:
		return err
	}
	defer trees.Close()
	in, err := m.Space.open()
	if err != nil {
		return err
	}
	defer unix.Close(in.root)
	if err := m.mount(in, trees); err != nil {
		return err
	}
	// The volumes of other containers lie below the mount root, for a task
	// that runs as root to read and to write.
	if trees.Root == "" {
		return nil
	}
	return detachAll(trees.Root)
}

// Await returns the volumes when all of them are ready. It changes nothing here.
func (m *Mounter) Await(ctx context.Context) (*Trees, error) {
	m.began = time.Now()
	limit, say := m.Limit, &speaker{log: m.Log, prefix: "flocker:", again: sayAgain}
	if m.Later != nil {
		agents, err := m.catchUp(ctx, say)
		if err != nil {
			return nil, err
		}
		limit = max(limit, agents)
	}
	ctx, cancel := context.WithDeadline(ctx, m.began.Add(limit+limitMargin))
	defer cancel()
	trees, err := awaitAgain(ctx, say, limit, func(ctx context.Context, say func(string)) (*Trees, error) {
		return m.Client.AwaitTrees(ctx, m.Consumer, say)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range m.Targets {
		if _, err := trees.of(t); err != nil {
			trees.Close()
			return nil, fmt.Errorf("mount volume %s at %s: %w", t.Key, t.Path, err)
		}
	}
	return trees, nil
}

// mount opens all targets before it mounts anything, so no target lies in a
// volume, and looks at the end whether each volume is what its path leads to.
func (m *Mounter) mount(in *inside, trees *Trees) error {
	targets := make([]int, 0, len(m.Targets))
	defer func() {
		for _, fd := range targets {
			unix.Close(fd)
		}
	}()
	for _, t := range m.Targets {
		fd, err := m.openTarget(in, t)
		if err != nil {
			return fmt.Errorf("mount volume %s at %s: %w", t.Key, t.Path, err)
		}
		targets = append(targets, fd)
	}
	for i, t := range m.Targets {
		tree, err := trees.of(t)
		if err == nil {
			err = attach(tree, targets[i])
		}
		if err != nil {
			return fmt.Errorf("mount volume %s at %s: %w", t.Key, t.Path, err)
		}
	}
	for _, t := range m.Targets {
		if err := m.shows(in, trees, t); err != nil {
			return fmt.Errorf("mount volume %s at %s: %w", t.Key, t.Path, err)
		}
	}
	return nil
}

// open opens the container's root directory and finds the mounts that are its
// own.
func (s Space) open() (*inside, error) {
	top, resolve := s.Sandbox, uint64(resolveInSandbox)
	if s.Rootfs.Path != "" {
		top, resolve = s.Rootfs, resolveInImage
	}
	root, err := top.open()
	if err != nil {
		return nil, err
	}
	in := &inside{root: root, resolve: resolve}
	_, mount, err := identify(root)
	if err != nil {
		unix.Close(root)
		return nil, err
	}
	in.own = append(in.own, mount)
	if s.Rootfs.Path == "" {
		return in, nil
	}
	mount, err = s.viewMount(in)
	if err != nil {
		unix.Close(root)
		return nil, err
	}
	in.own = append(in.own, mount)
	return in, nil
}

// viewMount returns the id of the mount of the sandbox in the image.
func (s Space) viewMount(in *inside) (uint64, error) {
	fd, err := in.open(s.View)
	if err != nil {
		return 0, fmt.Errorf("find the sandbox in the image, at %s: %w", s.View, err)
	}
	defer unix.Close(fd)
	d, mount, err := identify(fd)
	if err == nil && !d.same(s.Sandbox) {
		err = fmt.Errorf("find the sandbox in the image: at %s is another directory", s.View)
	}
	return mount, err
}

// path returns a target's path beneath the container's root directory.
func (s Space) path(t Target) string {
	if s.Rootfs.Path != "" && !strings.HasPrefix(t.Path, "/") {
		return s.View + "/" + t.Path
	}
	return strings.TrimLeft(t.Path, "/")
}

func (m *Mounter) openTarget(in *inside, t Target) (int, error) {
	fd, err := in.makeDirectory(m.Space.path(t))
	if err != nil {
		return -1, err
	}
	if err := m.checkTarget(in, fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkTarget refuses directories that a volume must not hide.
func (m *Mounter) checkTarget(in *inside, fd int) error {
	d, _, err := identify(fd)
	if err != nil {
		return err
	}
	root, _, err := identify(in.root)
	if err != nil {
		return err
	}
	if d.same(root) || d.same(m.Space.Sandbox) {
		return errors.New("a symbolic link there leads to the top")
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	switch fs.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return errors.New("a symbolic link there leads to the kernel's directories")
	}
	return nil
}

// attach moves a detached mount onto a directory. No mount made in the
// container propagates from it.
func attach(tree, target int) error {
	err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	switch {
	case errors.Is(err, unix.ENOSYS):
		return errKernel
	case errors.Is(err, unix.ENOENT):
		return errors.New("the directory was removed while the volume was being mounted")
	case err != nil:
		return err
	}
	// mount_setattr(2) would be newer than 5.10, and a path can be changed: the
	// working directory is neither.
	if err := unix.Fchdir(tree); err != nil {
		return err
	}
	if err := unix.Mount("", ".", "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make it private: %w", err)
	}
	return os.Chdir("/")
}

// shows makes sure that a volume is what its path leads to. A link that was
// made meanwhile could have brought two volumes to one place, or one into
// another.
func (m *Mounter) shows(in *inside, trees *Trees, t Target) error {
	tree, err := trees.of(t)
	if err != nil {
		return err
	}
	_, want, err := identify(tree)
	if err != nil {
		return err
	}
	fd, err := in.open(m.Space.path(t))
	if err != nil {
		return fmt.Errorf("it does not show: %w", err)
	}
	defer unix.Close(fd)
	_, got, err := identify(fd)
	if err == nil && got != want {
		err = errors.New("it does not show: the path leads to another volume or directory; give each volume a path of its own")
	}
	if err == nil && m.Space.Rootfs.Path != "" {
		_, err = m.Space.viewMount(in)
	}
	return err
}

// Trees are a consumer's volumes as detached mounts.
type Trees struct {
	Root  string // the agent's mount root
	files map[string]*os.File
}

// of returns the descriptor of a target's volume.
func (t *Trees) of(target Target) (int, error) {
	f, ok := t.files[target.Key]
	if !ok {
		return -1, errors.New("the flocker agent answered that all volumes are mounted, but without this one")
	}
	fd := int(f.Fd())
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return -1, err
	}
	if target.ReadOnly && fs.Flags&unix.ST_RDONLY == 0 {
		return -1, errors.New("the flocker agent answered with a volume that can be written, but it was asked for a read-only one")
	}
	return fd, nil
}

// Close lets go of what was not mounted.
func (t *Trees) Close() {
	for _, f := range t.files {
		_ = f.Close()
	}
}
