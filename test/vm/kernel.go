package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kernel is an unpacked Debian kernel package.
type Kernel struct {
	Image   string            // the bzImage
	modules map[string]string // paths by name
}

// FindKernel finds the kernel that `make kernel` unpacks.
func FindKernel() (*Kernel, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	images, err := filepath.Glob(filepath.Join(dir, "kernel", "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("find kernel in %s/kernel: found %d images: get one with `make kernel`", dir, len(images))
	}
	k := &Kernel{Image: images[0], modules: map[string]string{}}
	err = filepath.WalkDir(filepath.Join(dir, "kernel", "lib", "modules"), func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			k.modules[moduleName(name)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find modules of the kernel: %w", err)
	}
	return k, nil
}

// cacheDir returns the .cache directory of the module that the caller works in.
func cacheDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache"), nil
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the module: no go.mod above the working directory: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}

func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Modules returns the files of the named modules and of all that they need, in
// the order in which they must be loaded.
func (k *Kernel) Modules(names ...string) ([]string, error) {
	var files []string
	var add func(name string) error
	add = func(name string) error {
		file, ok := k.modules[moduleName(name)]
		if !ok {
			return fmt.Errorf("find module %s: the kernel package has none of that name", name)
		}
		if slices.Contains(files, file) {
			return nil
		}
		needs, err := dependencies(file)
		if err != nil {
			return fmt.Errorf("read module %s: %w", name, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		files = append(files, file)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// dependencies reads the modules that a module needs, as modinfo(8) does.
func dependencies(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(data, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
