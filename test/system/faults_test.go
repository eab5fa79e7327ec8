package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// faultsInSource returns the names of all fault points of the programs, as
// FLOCKER_FAULT takes them: NAME for one that kills, NAME:error for one that
// fails. Fault points are found in the source, so that a new one is tested
// without being listed anywhere.
func faultsInSource(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "test", "bench", "testdata", "tools", "fault"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if name, ok := faultCall(node); ok {
				names = append(names, name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// faultCall returns the name in a call of fault.Point or fault.Err.
func faultCall(node ast.Node) (string, bool) {
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return "", false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	pkg, ok := function.X.(*ast.Ident)
	if !ok || pkg.Name != "fault" {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	name, err := strconv.Unquote(literal.Value)
	switch {
	case err != nil:
		return "", false
	case function.Sel.Name == "Err":
		return name + ":error", true
	case function.Sel.Name == "Point":
		return name, true
	}
	return "", false
}

const restoring = "only in flocker control restore; the test of that command comes by"

// fencing is where the points of a fence are passed: no machine dies for good in
// the story here.
const fencing = "TestCrashWhileFencingALostNode comes by"

// csiPoint is the beginning of the names of points in the CSI front door, which have
// a story of their own.
const csiPoint = "csi."

// unreachable are fault points that no story here can come by.
var unreachable = map[string]string{
	"loopback.named":                 "only where the SAN has no unnamed files, as NFS; the backend's own tests come by",
	"loopback.renamed":               "only where a dataset has got another name; the backend's own tests come by",
	"agent.fence-begun":              fencing,
	"agent.fence-detached":           fencing,
	"agent.fenced":                   fencing,
	"store.embedded.restoring":       restoring,
	"store.embedded.restore-written": restoring,
	"store.embedded.set-aside":       restoring,
	"store.embedded.restored":        restoring,
	"store.consul.restore-begun":     restoring,
	"store.consul.restoring":         restoring,
	"store.consul.restored":          restoring,
}

// TestCrashAtEveryFaultPoint lets every program die, or fail, once at one
// point of its source, and runs the life of a volume over it: created, written,
// shared, grown, moved, left unclean by a power failure, waited for, deleted. Whatever dies
// is started again. At the end the data is whole and nothing is left.
func TestCrashAtEveryFaultPoint(t *testing.T) {
	t.Parallel()
	faults := faultsInSource(t, "../..")
	if len(faults) == 0 {
		t.Fatal("no fault point found in the source")
	}
	for _, fault := range faults {
		name, _, _ := strings.Cut(fault, ":")
		if unreachable[name] != "" || strings.HasPrefix(name, csiPoint) {
			continue
		}
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t, cluster.Options{})
			k := w.keep("FLOCKER_FAULT=" + fault)
			w.lifeOfAVolume()
			k.stop()
			if !w.fired(name) {
				t.Errorf("nothing came by %s: the story of this test has to be longer", name)
			}
		})
	}
}

// lifeOfAVolume takes a volume through all that can happen to it.
func (w *world) lifeOfAVolume() {
	t := w.t
	t.Helper()
	one, two := w.Nodes[0], w.Nodes[1]
	acknowledged := 0
	check := func(r *mesos.Run) {
		t.Helper()
		verified, wrote := lines(t, r)
		if verified < acknowledged {
			t.Errorf("%d lines were acknowledged, %d are there", acknowledged, verified)
		}
		acknowledged = wrote
	}
	reader := &mesos.Task{
		ID: "reader", Labels: labels("flocker.volume.in", "path=in,name=app,mode=ro"), Command: "cat in/lines; echo ready; sleep infinity",
	}

	// Made, written, shared by a reader on the same node.
	first := w.ready(one, ledger("app"))
	check(first)
	reading := w.ready(one, reader)
	id := w.dataset("app")
	dirty := w.copyOfAttached(id)
	// The second volume is formatted without an image in memory.
	other := w.ready(one, ledger("other", labels("flocker.volume.data", "path=data,name=other,size=300MiB,fs=xfs,each=1",
		"flocker.volume.huge", "path=huge,name=huge,size=257GiB,each=1")...))
	w.grow("other.0", 600<<20)
	w.awaitGrown(one, "other.0", 600<<20)
	w.end(other)
	w.end(first)
	w.end(reading)
	one.Mesos.SetEnv()
	w.idle()

	// A power failure left the file system as it was in use.
	w.putBack(dirty, id)

	// Moved, and waited for by the node that it came from.
	second := w.ready(two, ledger("app"))
	check(second)
	waiting := w.launch(one, ledger("app"))
	w.until("the first node waits", func() error {
		if err := said(waiting, "ready"); errors.Is(err, errTerminal) {
			return nil // killed by the fault; launched again below
		}
		if !strings.Contains(waiting.Stderr(), two.Name) {
			return fmt.Errorf("it says %q", waiting.Stderr())
		}
		return nil
	})
	w.end(second)
	two.Mesos.SetEnv()
	third := waiting
	if err := w.awaitReady(waiting); errors.Is(err, errTerminal) {
		w.ended(waiting)
		third = w.ready(one, ledger("app"))
	} else {
		w.must(err)
	}
	check(third)
	w.end(third)
	w.idle()
	out, err := one.Command(t.Context(), "e2fsck", "-fn", filepath.Join(w.Lab.SAN, "unattached", id)).Output()
	if err != nil {
		t.Errorf("the file system is not clean: %v %s", err, out)
	}

	// Deleted.
	w.until("the dataset is deleted", func() error {
		_, err := w.Control.Call(t.Context(), "DELETE", "/v1/configuration/datasets/"+id, nil)
		if cluster.StatusOf(err) == 404 {
			return nil // the answer to the first attempt got lost
		}
		return err
	})
	w.until("the volume is destroyed", func() error {
		images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "*", id))
		if err == nil && len(images) > 0 {
			err = fmt.Errorf("%q exists", images)
		}
		return err
	})
	w.idle()
}

// awaitReady waits until a task is ready or has ended without being.
func (w *world) awaitReady(r *mesos.Run) error {
	var last error
	w.until("the task is ready", func() error {
		last = said(r, "ready")
		if errors.Is(last, errTerminal) {
			return nil
		}
		return last
	})
	return last
}

// dataset returns the id of the dataset with a name.
func (w *world) dataset(name string) string {
	w.t.Helper()
	var id string
	w.until("the control service knows "+name, func() error {
		data, err := w.Control.Call(w.t.Context(), "GET", "/v1/configuration/datasets", nil)
		if err != nil {
			return err
		}
		var all []struct {
			ID       string            `json:"dataset_id"`
			Deleted  bool              `json:"deleted"`
			Metadata map[string]string `json:"metadata"`
		}
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		for _, d := range all {
			if d.Metadata["name"] == name && !d.Deleted {
				id = d.ID
				return nil
			}
		}
		return fmt.Errorf("there is no dataset %q in %s", name, data)
	})
	return id
}

// copyOfAttached copies the image of a volume that is in use: what a power
// failure would leave of it.
func (w *world) copyOfAttached(id string) string {
	w.t.Helper()
	images, err := filepath.Glob(filepath.Join(w.Lab.SAN, "attached", "*", id))
	if err != nil || len(images) != 1 {
		w.t.Fatalf("attached images of %s: %q, %v", id, images, err)
	}
	to := filepath.Join(w.Lab.Dir, "dirty-"+id)
	w.must(copySparse(images[0], to))
	return to
}

// putBack puts a copy's content into the image of a detached volume.
func (w *world) putBack(from, id string) {
	w.t.Helper()
	w.must(copySparse(from, filepath.Join(w.Lab.SAN, "unattached", id)))
}

// copySparse copies a small image that is mostly zeros into a file, which
// keeps its identity if it is there.
func copySparse(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer target.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	zero := make([]byte, 1<<16)
	block := make([]byte, len(zero))
	for at := int64(0); at < info.Size(); at += int64(len(block)) {
		n, err := source.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if bytes.Equal(block[:n], zero[:n]) {
			continue
		}
		if _, err := target.WriteAt(block[:n], at); err != nil {
			return err
		}
	}
	return target.Truncate(info.Size())
}
