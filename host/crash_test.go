package host_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/host"
)

// TestKilledAtAnyPointTheNextRunGoesOn kills a process at every fault point of
// this package on the way of a volume up and down.
func TestKilledAtAnyPointTheNextRunGoesOn(t *testing.T) {
	program := filepath.Join(t.TempDir(), "steps")
	run(t, "go", "build", "-tags", "faults", "-o", program, "./testdata/steps")
	elsewhere := map[string]bool{ // where they are hit
		"host.loop-configured": true, // backend/loopback
		"host.checked":         true, // needs an unclean file system; nothing follows that could be lost
	}
	for _, point := range faultPoints(t) {
		if elsewhere[point] {
			continue
		}
		t.Run(point, func(t *testing.T) {
			hit := false
			size := int64(320 * mib)
			if strings.HasSuffix(point, "-in-place") {
				size = 300 * gib
			}
			for _, fs := range []string{"ext4", "xfs"} {
				dev := newDevice(t, size)
				p := newRootPaths(t)
				t.Cleanup(func() {
					if err := p.open(t).Remove(); err != nil {
						t.Error(err)
					}
				})
				args := []string{dev.Image, dev.Path, fs, p.writable, p.path}
				killed := exec.Command(program, args...)
				killed.Env = []string{"FLOCKER_FAULT=" + point}
				hit = wasKilled(killed.Run()) || hit
				// What it left is gone by now, or nearly: an mkfs may live on.
				probeUnlessMounted(t, dev, filepath.Join(p.path, "volume"))
				run(t, program, args...)
				target := mount(t, dev, fs)
				wantRoot(t, target, 0o777, "")
				wantFills(t, dev.Path, target, size > 640*mib || mayGrow(t, fs))
				unmount(t, target)
				check := []string{"e2fsck", "-fn", dev.Path}
				if fs == "xfs" {
					check = []string{"xfs_repair", "-n", dev.Path}
				}
				run(t, check[0], check[1:]...)
			}
			if !hit {
				t.Errorf("nothing was killed at %s", point)
			}
		})
	}
}

func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func probeUnlessMounted(t *testing.T, dev host.Device, target string) {
	t.Helper()
	_, mounted, err := host.Mounted(target)
	if err != nil {
		t.Fatal(err)
	}
	if mounted {
		return
	}
	if sig := probeWhenFree(t, dev); sig.Kind == host.Other {
		t.Errorf("signature after the crash: got %+v", sig)
	}
}

// faultPoints returns the names of all fault points in this package's source.
func faultPoints(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Point" {
				if lit, ok := call.Args[0].(*ast.BasicLit); ok {
					point, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					points = append(points, point)
				}
			}
			return true
		})
	}
	return points
}
