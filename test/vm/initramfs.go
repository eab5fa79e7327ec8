package vm

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// Initramfs is the root file system of a machine: files by their paths in it.
// The kernel starts its /init.
type Initramfs struct {
	entries map[string]entry
}

type entry struct {
	mode    fs.FileMode
	owner   int
	content []byte // of a file, or the target of a link
	source  string // the file here that has the content, if set
}

// NewInitramfs returns one with the usual empty directories.
func NewInitramfs() *Initramfs {
	r := &Initramfs{entries: map[string]entry{}}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/mnt", "/etc", "/var/lib"} {
		r.Dir(dir)
	}
	return r
}

// Dir adds a directory, and those above it.
func (r *Initramfs) Dir(path string) { r.add(path, entry{mode: fs.ModeDir | 0o755}) }

// File adds a file.
func (r *Initramfs) File(path string, mode fs.FileMode, content []byte) {
	r.add(path, entry{mode: mode, content: content})
}

// OwnedFile adds a file of another user, and of the group with the same number.
func (r *Initramfs) OwnedFile(path string, mode fs.FileMode, owner int, content []byte) {
	r.add(path, entry{mode: mode, owner: owner, content: content})
}

// Link adds a symbolic link.
func (r *Initramfs) Link(path, target string) {
	r.add(path, entry{mode: fs.ModeSymlink | 0o777, content: []byte(target)})
}

// Copy adds a file of this machine.
func (r *Initramfs) Copy(path, source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("copy to initramfs: %w", err)
	}
	r.add(path, entry{mode: info.Mode().Perm(), source: source})
	return nil
}

// Program adds a program of this machine with the libraries that it is linked
// to, at the paths that they have here.
func (r *Initramfs) Program(path string) error {
	if err := r.Copy(path, path); err != nil {
		return err
	}
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return nil //nolint:nilerr // ldd fails for static programs, which need nothing
	}
	for line := range strings.Lines(string(out)) {
		for field := range strings.FieldsSeq(line) {
			if strings.HasPrefix(field, "/") {
				if err := r.Copy(field, field); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Modules adds kernel modules, with what they need, and /modules, the list of
// their files in the order of loading.
func (r *Initramfs) Modules(k *Kernel, names ...string) error {
	files, err := k.Modules(names...)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, file := range files {
		path := "/lib/modules/" + filepath.Base(file)
		if err := r.Copy(path, file); err != nil {
			return err
		}
		list.WriteString(path + "\n")
	}
	r.File("/modules", 0o644, []byte(list.String()))
	return nil
}

func (r *Initramfs) add(path string, e entry) {
	path = filepath.Clean(path)
	if path == "/" {
		return
	}
	if _, ok := r.entries[filepath.Dir(path)]; !ok {
		r.Dir(filepath.Dir(path))
	}
	r.entries[path] = e
}

// Write writes the archive as the kernel reads it: cpio in the "newc" format,
// compressed.
func (r *Initramfs) Write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<20)
	zip, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	if err := errors.Join(r.archive(zip), zip.Close(), buffered.Flush()); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

func (r *Initramfs) archive(w io.Writer) error {
	paths := make([]string, 0, len(r.entries))
	for path := range r.entries {
		paths = append(paths, path)
	}
	sort.Strings(paths) // directories come before what is in them
	for number, path := range paths {
		if err := writeEntry(w, number+1, path[1:], r.entries[path]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return writeEntry(w, 0, "TRAILER!!!", entry{})
}

func writeEntry(w io.Writer, inode int, name string, e entry) error {
	content := e.content
	if e.source != "" {
		var err error
		if content, err = os.ReadFile(e.source); err != nil {
			return err
		}
	}
	mode := uint32(e.mode.Perm())
	switch {
	case e.mode.IsDir():
		mode |= 0o040000
	case e.mode&fs.ModeSymlink != 0:
		mode |= 0o120000
	case inode > 0:
		mode |= 0o100000
	}
	// magic, inode, mode, uid, gid, links, mtime, size, device and special
	// device (major, minor each), length of the name, checksum.
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, mode, e.owner, e.owner, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	for _, part := range []string{pad(header + name + "\x00"), pad(string(content))} {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}

// pad fills up to a multiple of four bytes.
func pad(s string) string { return s + "\x00\x00\x00"[:(4-len(s)%4)%4] }
