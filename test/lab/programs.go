package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Programs is a directory of built programs.
type Programs struct{ Dir string }

// Variant is how programs are built.
type Variant string

// The variants.
const (
	// Plain is what users get: static, without fault points.
	Plain Variant = "plain"
	// Faulty has the fault points and the race detector.
	Faulty Variant = "faulty"
)

func (v Variant) flags() (args, env []string) {
	if v == Faulty {
		return []string{"-race", "-tags", "faults"}, []string{"CGO_ENABLED=1"}
	}
	return []string{"-trimpath"}, []string{"CGO_ENABLED=0"}
}

// isolatorNames are the names by which Mesos calls flocker-isolator: it can
// give no arguments of its own.
var isolatorNames = []string{"flocker-isolator-prepare", "flocker-isolator-isolate", "flocker-isolator-cleanup", "dvdcli"}

// Build builds main packages of this module, such as ./cmd/flocker, into a
// directory of the user's cache that all test runs share. What has not changed
// is not built again.
func Build(ctx context.Context, variant Variant, packages ...string) (*Programs, error) {
	args, env := variant.flags()
	return build(ctx, string(variant), args, env, packages)
}

// Patch replaces a text in a source file of this module. The file has it exactly once.
type Patch struct{ File, Old, New string }

// BuildPlanted builds main packages as Build does, with fault points, from sources in
// which a defect was planted, so that a test can show that it is found. The sources
// themselves stay as they are.
func BuildPlanted(ctx context.Context, name string, patches []Patch, packages ...string) (*Programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "flocker-planted-")
	if err != nil {
		return nil, fmt.Errorf("make directory of the planted sources: %w", err)
	}
	defer os.RemoveAll(dir)
	overlay, err := plant(root, dir, patches)
	if err != nil {
		return nil, fmt.Errorf("plant %s: %w", name, err)
	}
	args, env := Faulty.flags()
	return build(ctx, "planted-"+name, append(args, "-overlay", overlay), env, packages)
}

// plant writes patched copies of source files into a directory, and the file that
// tells the compiler of them.
func plant(root, dir string, patches []Patch) (overlay string, err error) {
	replace := map[string]string{}
	for _, p := range patches {
		path := filepath.Join(root, p.File)
		copied, again := replace[path]
		if !again {
			copied = filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(p.File)))
			replace[path] = copied
		} else {
			path = copied
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), p.Old); n != 1 {
			return "", fmt.Errorf("%s has the text %q %d times, not once: change the patch as the source was changed", p.File, p.Old, n)
		}
		if err := os.WriteFile(copied, []byte(strings.Replace(string(text), p.Old, p.New, 1)), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// build builds packages into the directory of a kind of programs.
func build(ctx context.Context, kind string, args, env, packages []string) (*Programs, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w", err)
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(cache, "flocker-lab", hex.EncodeToString(sum[:6]), kind)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of programs: %w", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("lock directory of programs: %w", err)
	}
	defer unlock()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", dir + "/"}, args...), packages...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", strings.Join(packages, " "), err, out)
	}
	for _, name := range isolatorNames {
		err := os.Symlink("flocker-isolator", filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("link %s: %w", name, err)
		}
	}
	return &Programs{Dir: dir}, nil
}

// moduleRoot returns the directory of the module that the caller works in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == os.DevNull {
		return "", errors.New("find module: not inside one")
	}
	return filepath.Dir(file), nil
}

// lockDir keeps two test programs from building into one directory at once.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
