package loopback_test

import (
	"bufio"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

const volumeSize = 64 << 20 // as testdata/driver makes them

// growAttached is the operation grow on a volume that is attached.
const growAttached = "grow attached"

// buildDriver builds the program that can be killed at its fault points.
func buildDriver(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "driver")
	out, err := exec.Command("go", "build", "-tags", "faults", "-o", path, "./testdata/driver").CombinedOutput()
	if err != nil {
		t.Fatalf("build driver: %v: %s", err, out)
	}
	return path
}

// driver is a process that does one operation.
type driver struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startDriver starts a driver and waits until it is ready to begin.
func startDriver(t *testing.T, program, fault string, args ...string) *driver {
	t.Helper()
	d := &driver{t: t, cmd: exec.Command(program, args...)}
	d.cmd.Env = []string{"FLOCKER_FAULT=" + fault}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := d.out.ReadString('\n'); line != "ready\n" {
		_ = d.cmd.Wait()
		t.Fatalf("driver %q: got %q", args, line)
	}
	return d
}

func (d *driver) begin() {
	d.t.Helper()
	if _, err := io.WriteString(d.in, "\n"); err != nil {
		d.t.Fatal(err)
	}
}

// end waits for the driver and returns what it says: "killed" where it was.
func (d *driver) end() string {
	d.t.Helper()
	line, _ := d.out.ReadString('\n')
	err := d.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return "killed"
		}
	}
	return strings.TrimSpace(line)
}

// faultPoints returns the names of all fault points in a package's source.
func faultPoints(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
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
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Point" {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok {
				point, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				points = append(points, point)
			}
			return true
		})
	}
	return points
}

// TestKilledAtAnyPointItIsFinishedByTheNextCall kills every operation at every
// fault point on its way.
func TestKilledAtAnyPointItIsFinishedByTheNextCall(t *testing.T) {
	program := buildDriver(t)
	points := append(faultPoints(t, "."), faultPoints(t, "../../host")...)
	hit := map[string]bool{
		"loopback.named": true, // on file systems without unnamed files; see TestNamedImages
	}
	for _, point := range points {
		for _, operation := range []string{"create", "attach", "detach", "destroy", "grow", growAttached, "name"} {
			t.Run(operation+" at "+point, func(t *testing.T) {
				s := newStorage(t)
				b := s.open(t, "alpha")
				id := uuid.NewString()
				command, _, _ := strings.Cut(operation, " ")
				prepare(t, b, operation, id)
				d := startDriver(t, program, point, s.root, "alpha", command, id)
				d.begin()
				switch result := d.end(); result {
				case "done":
					return // the point is not on its way
				case "killed":
					hit[point] = true
				default:
					t.Fatalf("killed driver: got %q", result)
				}
				checkBetween(t, s, id)
				again := startDriver(t, program, "", s.root, "alpha", command, id)
				again.begin()
				if result := again.end(); result != "done" {
					t.Fatalf("repeated %s: got %q", operation, result)
				}
				checkAfter(t, s, operation, id)
			})
		}
	}
	for _, point := range points {
		if strings.HasPrefix(point, "loopback.") && !hit[point] {
			t.Errorf("nothing was killed at %s", point)
		}
	}
}

// prepare brings a volume to where an operation on it makes sense.
func prepare(t *testing.T, b *loopback.Backend, operation, id string) {
	t.Helper()
	if operation == "create" {
		return
	}
	if _, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: id, Size: volumeSize, Name: "old"}); err != nil {
		t.Fatal(err)
	}
	if operation == "detach" || operation == growAttached {
		if err := b.Attach(t.Context(), id, "alpha"); err != nil {
			t.Fatal(err)
		}
	}
}

// checkBetween checks what must hold after any crash: what is there has its
// whole size, and nobody else can attach what a loop device shows.
func checkBetween(t *testing.T, s storage, id string) {
	t.Helper()
	beta := s.open(t, "beta")
	volumes, err := beta.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		if v.Name != "old" && v.Name != "new" {
			t.Errorf("after the crash: got the name %q", v.Name)
		}
		if v.ID != id || v.Size != volumeSize && v.Size != 2*volumeSize {
			t.Errorf("after the crash: got %+v", v)
		}
	}
	if len(volumes) > 1 {
		t.Errorf("after the crash: got %+v", volumes)
	}
	if len(loopsOf(t, s.root)) > 0 {
		if err := beta.Attach(t.Context(), id, "beta"); err == nil {
			t.Error("another instance attached what a loop device still shows")
		}
	}
}

func checkAfter(t *testing.T, s storage, operation, id string) {
	t.Helper()
	b := s.open(t, "alpha")
	volumes, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]backend.Volume{
		"create":     {{ID: id, DatasetID: id, Name: "old", Size: volumeSize}},
		"attach":     {{ID: id, DatasetID: id, Name: "old", Size: volumeSize, AttachedTo: "alpha"}},
		"detach":     {{ID: id, DatasetID: id, Name: "old", Size: volumeSize}},
		"destroy":    {},
		"name":       {{ID: id, DatasetID: id, Name: "new", Size: volumeSize}},
		"grow":       {{ID: id, DatasetID: id, Name: "old", Size: 2 * volumeSize}},
		growAttached: {{ID: id, DatasetID: id, Name: "old", Size: 2 * volumeSize, AttachedTo: "alpha"}},
	}[operation]
	if !slices.Equal(volumes, want) {
		t.Errorf("after the repeated %s: got %+v, want %+v", operation, volumes, want)
	}
	loops := loopsOf(t, s.root)
	if operation != "attach" && operation != growAttached {
		if len(loops) > 0 {
			t.Errorf("loop devices after the repeated %s: got %q", operation, loops)
		}
		return
	}
	device, err := b.Device(t.Context(), id)
	if err != nil || !slices.Equal(loops, []string{device.Path}) || device.Size != want[0].Size {
		t.Errorf("device after the repeated call: got %+v, %v, and loops %q", device, err, loops)
	}
}

// TestTwoProcessesNeverBothAttach is the race of two agents.
func TestTwoProcessesNeverBothAttach(t *testing.T) {
	program := buildDriver(t)
	s := newStorage(t)
	id := uuid.NewString()
	instances := []string{"alpha", "beta"}
	prepare(t, s.open(t, "alpha"), "attach", id)
	for round := range 25 {
		drivers := make([]*driver, len(instances))
		for i, instance := range instances {
			drivers[i] = startDriver(t, program, "", s.root, instance, "attach", id)
		}
		for _, d := range drivers {
			d.begin()
		}
		results := []string{drivers[0].end(), drivers[1].end()}
		winner := slices.Index(results, "done")
		if winner < 0 || results[1-winner] != "elsewhere" {
			t.Fatalf("round %d: got %q, want one done and one elsewhere", round, results)
		}
		if loops := loopsOf(t, s.root); len(loops) != 1 {
			t.Fatalf("round %d: loop devices: got %q", round, loops)
		}
		if err := s.open(t, instances[winner]).Detach(t.Context(), id, instances[winner], backend.DetachNormal); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedAttachGivesTheImageBack lets the kernel refuse the loop device.
func TestFailedAttachGivesTheImageBack(t *testing.T) {
	program := buildDriver(t)
	s := newStorage(t)
	b := s.open(t, "beta")
	id := create(t, b)
	d := startDriver(t, program, "host.attach-loop:error", s.root, "alpha", "attach", id)
	d.begin()
	if result := d.end(); !strings.Contains(result, "fault injected") {
		t.Fatalf("attach: got %q", result)
	}
	if volumes, err := b.List(t.Context(), id); err != nil || volumes[0].AttachedTo != "" {
		t.Errorf("list: got %+v, %v, want it attached nowhere", volumes, err)
	}
	attach(t, b, id)
	detach(t, b, id)
}

// TestLateCreateFindsWhatWasMadeMeanwhile stops a create at the moment before
// its image gets its name, while another instance makes one and attaches it.
func TestLateCreateFindsWhatWasMadeMeanwhile(t *testing.T) {
	program := buildDriver(t)
	s := newStorage(t)
	b := s.open(t, "beta")
	id := uuid.NewString()
	d := startDriver(t, program, "loopback.made:stop", s.root, "alpha", "create", id)
	d.begin()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(d.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("driver did not stop: %v, %v", status, err)
	}
	if _, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: id, Size: volumeSize}); err != nil {
		t.Fatal(err)
	}
	attach(t, b, id)
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if result := d.end(); result != "done" {
		t.Fatalf("late create: got %q", result)
	}
	volumes, err := b.List(t.Context())
	if err != nil || len(volumes) != 1 || volumes[0].AttachedTo != "beta" {
		t.Errorf("list: got %+v, %v, want one, attached to beta", volumes, err)
	}
	if left := s.Leftovers(t); len(left) != 3 { // the image, its name and its loop device
		t.Errorf("left: got %q", left)
	}
	detach(t, b, id)
}
