package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	recordings = "../../isolator/testdata/mesos"
	golden     = "testdata/golden"
)

// programs is a directory with the program and the names it is called by.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flocker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programs = dir
	program := filepath.Join(dir, "flocker-isolator")
	build := exec.Command("go", "build", "-ldflags", "-s -w -X main.version=1.2.3", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	for _, name := range []string{"flocker-isolator-prepare", "flocker-isolator-isolate", "flocker-isolator-cleanup", "dvdcli"} {
		if err := os.Symlink("flocker-isolator", filepath.Join(dir, name)); err != nil {
			panic(err)
		}
	}
	defer dropStored(program)
	return m.Run()
}

// dropStored removes the copy of a program that its prepare has left in the
// device file system.
func dropStored(program string) {
	var st syscall.Stat_t
	if err := syscall.Stat(program, &st); err != nil {
		panic(err)
	}
	copies, _ := filepath.Glob(fmt.Sprintf("/dev/.flocker/%x-%x-*", st.Dev, st.Ino))
	for _, path := range copies {
		os.Remove(path)
	}
}

// result is what a call did.
type result struct {
	Exit     int                `json:"exit"`
	Output   json.RawMessage    `json:"output,omitempty"` // the output file's, or a dvdcli's stdout
	Error    string             `json:"error,omitempty"`  // the error file's
	Stderr   string             `json:"stderr,omitempty"`
	Requests []api.LocalRequest `json:"requests,omitempty"`
}

func TestRecordedCallsDoWhatTheGoldenFilesSay(t *testing.T) {
	calls, err := filepath.Glob(filepath.Join(recordings, "*", "*"))
	if err != nil || len(calls) == 0 {
		t.Fatalf("got no recordings, %v", err)
	}
	for _, path := range calls {
		name := strings.ReplaceAll(strings.TrimPrefix(path, recordings+"/"), "/", "-")
		for mode, ready := range map[string]bool{"waiting": false, "ready": true} {
			if ready && !strings.HasSuffix(name, "prepare.json") {
				continue
			}
			t.Run(name+"/"+mode, func(t *testing.T) {
				got := replay(t, path, ready)
				compare(t, filepath.Join(golden, strings.TrimSuffix(name, filepath.Ext(name))+"."+mode+".json"), got)
			})
		}
	}
}

// replay carries out a recorded call, whose paths it moves into a directory of
// its own.
func replay(t *testing.T, path string, ready bool) result {
	t.Helper()
	dir := t.TempDir()
	agent := agenttest.Start(t, agenttest.Volumes(t, filepath.Join(dir, "flocker"), func() bool { return ready }))
	recorded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".argv.txt") {
		return tidy(t, runDVDCLI(t, agent, string(recorded)), dir, agent)
	}
	input := bytes.ReplaceAll(recorded, []byte("/var/lib/mesos"), []byte(dir+"/mesos"))
	var config struct {
		Config struct{ Directory, Rootfs string } `json:"container_config"`
	}
	if err := json.Unmarshal(input, &config); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{config.Config.Directory, config.Config.Rootfs} {
		if err := os.MkdirAll(d, 0o755); err != nil && d != "" {
			t.Fatal(err)
		}
	}
	_, call, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "-")
	got := callHook(t, "flocker-isolator-"+call, agent.Socket, input)
	checkLaunchInfo(t, got.Output)
	return tidy(t, got, dir, agent)
}

// callHook calls the program as Mesos does.
func callHook(t *testing.T, program, socket string, input []byte) result {
	t.Helper()
	files := t.TempDir()
	in, out, errs := filepath.Join(files, "in"), filepath.Join(files, "out"), filepath.Join(files, "err")
	for path, data := range map[string][]byte{in: input, out: nil, errs: nil} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(programs, program), in, out, errs)
	cmd.Env = append(os.Environ(), "FLOCKER_AGENT_SOCKET="+socket)
	got := run(t, cmd)
	if len(got.Output) != 0 {
		t.Errorf("got %q on stdout, want nothing there", got.Output)
	}
	got.Output = read(t, out)
	got.Error = string(read(t, errs))
	return got
}

func runDVDCLI(t *testing.T, agent *agenttest.Agent, argv string) result {
	t.Helper()
	var args []string
	for line := range strings.Lines(argv) {
		_, arg, _ := strings.Cut(strings.TrimSpace(line), "=")
		args = append(args, arg)
	}
	cmd := exec.Command(filepath.Join(programs, "dvdcli"), args[1:]...)
	cmd.Env = append(os.Environ(), "FLOCKER_AGENT_SOCKET="+agent.Socket)
	got := run(t, cmd)
	if len(got.Output) > 0 {
		text, err := json.Marshal(string(got.Output))
		if err != nil {
			t.Fatal(err)
		}
		got.Output = text
	}
	return got
}

func run(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{Exit: cmd.ProcessState.ExitCode(), Output: stdout.Bytes(), Stderr: stderr.String()}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tidy replaces what differs from run to run.
func tidy(t *testing.T, got result, dir string, agent *agenttest.Agent) result {
	t.Helper()
	got.Requests = agent.Requests()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatalf("%v: %s", err, got.Output)
	}
	text = bytes.ReplaceAll(text, []byte(dir), []byte("/tmp"))
	text = bytes.ReplaceAll(text, []byte(agent.Socket), []byte("/tmp/agent.sock"))
	text = bytes.ReplaceAll(text, []byte(programs), []byte("/tmp/bin"))
	text = regexp.MustCompile(`/sys/.flocker/[0-9a-f-]+`).ReplaceAll(text, []byte("/sys/.flocker/PROGRAM"))
	text = regexp.MustCompile(`[0-9]+:[0-9]+:/tmp`).ReplaceAll(text, []byte("DEVICE:INODE:/tmp"))
	text = regexp.MustCompile(`"--outside","[0-9]+"`).ReplaceAll(text, []byte(`"--outside","NAMESPACE"`))
	var tidied result
	if err := json.Unmarshal(text, &tidied); err != nil {
		t.Fatal(err)
	}
	return tidied
}

func compare(t *testing.T, file string, got result) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(text, want) {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// checkLaunchInfo holds for every launch info: nothing is mounted by a path that
// a task can change.
func checkLaunchInfo(t *testing.T, output []byte) {
	t.Helper()
	if len(output) == 0 {
		return
	}
	var info map[string]json.RawMessage
	if err := json.Unmarshal(output, &info); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for field, value := range info {
		switch field {
		case "mounts":
			if want := `[{"source":"devtmpfs","target":"/sys","type":"devtmpfs","flags":2}]`; string(value) != want {
				t.Errorf("got mounts %s, want %s", value, want)
			}
		case "pre_exec_commands", "clone_namespaces":
		default:
			t.Errorf("launch info has a field %s", field)
		}
	}
}
