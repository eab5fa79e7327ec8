package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w", err)
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(cache, "flocker-lab", hex.EncodeToString(sum[:6]), string(variant))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of programs: %w", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("lock directory of programs: %w", err)
	}
	defer unlock()
	args, env := variant.flags()
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
