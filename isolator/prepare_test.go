package isolator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

// commandTask is the input of a Marathon app's task with labels.
func commandTask(t testing.TB, c *isolator.Config, labels ...string) *isolator.Input {
	t.Helper()
	in := &isolator.Input{Config: *c, ContainerID: isolator.ContainerID{Value: "c1"}}
	in.Config.Task = &isolator.Task{}
	for i := 0; i < len(labels); i += 2 {
		in.Config.Task.Labels.Labels = append(in.Config.Task.Labels.Labels, api.Label{Key: labels[i], Value: labels[i+1]})
	}
	in.Config.Command.Environment.Variables = []isolator.Variable{{Name: "MARATHON_APP_ID", Value: "/prod/db"}}
	return in
}

// nestedTask is the input of a task in a group of a framework that is not
// Marathon.
func nestedTask(c *isolator.Config, framework string) *isolator.Input {
	in := &isolator.Input{Config: *c, ContainerID: isolator.ContainerID{Value: "c2", Parent: &isolator.ContainerID{Value: "c1"}}}
	in.Config.Class = "DEFAULT"
	in.Config.Executor = &isolator.Executor{Type: "DEFAULT"}
	in.Config.Executor.FrameworkID.Value = framework
	return in
}

// program is where the played store has the program.
const program = "/sys/.flocker/1"

func hook(socket string, log *bytes.Buffer) *isolator.Hook {
	return &isolator.Hook{Store: func() (string, error) { return program, nil }, Socket: socket, Log: log}
}

// launchInfo is how a container starts whose command has the given arguments.
func launchInfo(arguments ...string) *isolator.LaunchInfo {
	return &isolator.LaunchInfo{
		Namespaces: []int{syscall.CLONE_NEWNS},
		Mounts:     []isolator.ContainerMount{{Source: "devtmpfs", Target: "/sys", Type: "devtmpfs", Flags: syscall.MS_NOSUID}},
		PreExec:    []isolator.PreExec{{Value: program, Arguments: append([]string{"flocker-isolator"}, arguments...)}},
	}
}

func outside(t *testing.T) string {
	t.Helper()
	n, err := isolator.MountNamespace()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(n, 10)
}

func directory(t *testing.T, path string) string {
	t.Helper()
	d, err := isolator.FindDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestPrepareAsksTheAgentAndLeavesTheMountsToTheLaunchProcess(t *testing.T) {
	for _, image := range []bool{false, true} {
		t.Run(fmt.Sprintf("image %v", image), func(t *testing.T) {
			agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return image }))
			c := container(t, image)
			in := commandTask(t, c, "flocker.volume.data", "/var/lib/db", "flocker.volume.data.size", "20G",
				"flocker.volume.conf", "conf", "flocker.volume.conf.mode", "ro", "other", "x")
			info, err := hook(agent.Socket, new(bytes.Buffer)).Prepare(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			arguments := []string{"mount", "--socket", agent.Socket, "--consumer", "c1", "--limit", "45s",
				"--outside", outside(t), "--sandbox", directory(t, c.Directory)}
			if image {
				arguments = append(arguments, "--rootfs", directory(t, c.Rootfs), "--view", "/mnt/mesos/sandbox")
			}
			want := launchInfo(append(arguments, "ro:conf=conf", "rw:data=/var/lib/db")...)
			if !reflect.DeepEqual(info, want) {
				t.Errorf("got  %+v\nwant %+v", info, want)
			}
			for _, dir := range []string{c.Directory, c.Rootfs} {
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("prepare made %v in %s", left, dir)
				}
			}
			requests, err := json.Marshal(agent.Requests())
			if want := `[{"acquire":{"consumer":"c1","kind":"mesos","app":"/prod/db","volumes":[` +
				`{"key":"conf","path":"conf","name":"prod.db.conf","read_only":true},` +
				`{"key":"data","path":"/var/lib/db","name":"prod.db.data","size":21474836480}],"hurry":true}}]`; err != nil || string(requests) != want {
				t.Errorf("got  %s\nwant %s", requests, want)
			}
		})
	}
}

func TestPrepareDoesNotContactTheAgentForOthers(t *testing.T) {
	c := container(t, false)
	for _, label := range []string{"team", "flocker.io/team", "docker.volume.data", "flocker"} {
		in := commandTask(t, c, label, "web")
		info, err := hook("/nowhere", new(bytes.Buffer)).Prepare(t.Context(), in)
		if err != nil || info != nil {
			t.Errorf("%s: got %+v, %v", label, info, err)
		}
	}
}

// Such a task would write beside its volume.
func TestPrepareRefusesLabelsThatAreAlmostOurs(t *testing.T) {
	for _, label := range []string{"flocker.volumes.data", "flocker.volume", "Flocker.volume.data", "flocker.vol.data"} {
		in := commandTask(t, container(t, false), label, "/srv/data")
		info, err := hook("/nowhere", new(bytes.Buffer)).Prepare(t.Context(), in)
		if err == nil || !strings.HasPrefix(err.Error(), label+`: the label asks for no volume, and its value is "/srv/data": `) {
			t.Errorf("got %+v, %v", info, err)
		}
	}
}

func TestPrepareFails(t *testing.T) {
	mounts := func(change func(*api.Mount)) agenttest.Handler {
		return func(_ api.LocalRequest, conn *agenttest.Conn) {
			m := api.Mount{Key: "data", Name: "db", Source: t.TempDir()}
			change(&m)
			conn.Send(api.LocalReply{Done: true, Mounts: []api.Mount{m}})
		}
	}
	tests := []struct {
		name   string
		label  string
		handle agenttest.Handler // nil: nothing listens
		want   string
	}{
		{"a bad label, without contact", "../x", nil, `flocker.volume.data: path "../x" leads upwards`},
		{"the agent refuses", "data", func(_ api.LocalRequest, conn *agenttest.Conn) {
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeConflict, "volume db has another size")})
		}, "get volumes: volume db has another size"},
		{"the agent forgets a volume", "data", mounts(func(m *api.Mount) { m.Key = "x" }), "answered without a mount for volume data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "no.sock")
			if tt.handle != nil {
				socket = agenttest.Start(t, tt.handle).Socket
			}
			in := commandTask(t, container(t, false), "flocker.volume.data", tt.label)
			info, err := hook(socket, new(bytes.Buffer)).Prepare(t.Context(), in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %s", info, err, tt.want)
			}
		})
	}
}

// laterOf returns the request that a launch process carries.
func laterOf(t *testing.T, info *isolator.LaunchInfo, err error) *isolator.Later {
	t.Helper()
	if err != nil || info == nil || len(info.PreExec) != 1 {
		t.Errorf("got %+v, %v, want a launch process that asks later", info, err)
		return nil
	}
	arguments := info.PreExec[0].Arguments
	at := slices.Index(arguments, "--later")
	if at < 0 {
		t.Errorf("got the arguments %q, want one that asks later", arguments)
		return nil
	}
	later, err := isolator.ParseLater(arguments[at+1])
	if err != nil {
		t.Error(err)
	}
	return later
}

// A launch does not fail because the agent, or the control service behind it, is away:
// its launch process carries the request, and prepare returns at once.
func TestPrepareLeavesTheRequestToTheLaunchProcess(t *testing.T) {
	refuses := func(code api.Code) agenttest.Handler {
		return func(req api.LocalRequest, conn *agenttest.Conn) {
			if !req.Acquire.Hurry {
				t.Error("prepare has the agent wait while Mesos waits for it")
			}
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(code, "the control service cannot be reached")})
		}
	}
	tests := []struct {
		name   string
		handle agenttest.Handler // nil: nothing listens
		facts  string
		limit  string
	}{
		{"the agent is down", nil, "", "45s"},
		{"the agent is down, and has said how long containers wait", nil, `{"wait_limit":90000000000,"labels":true}`, "1m30s"},
		{"what it said is damaged", nil, `{`, "45s"},
		{"the agent is killed before it answers", func(api.LocalRequest, *agenttest.Conn) {}, "", "45s"},
		{"the control service is away", refuses(api.CodeUnavailable), "", "45s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "flocker")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			socket := filepath.Join(dir, "agent.sock")
			if tt.handle != nil {
				agenttest.StartAt(t, socket, tt.handle)
			}
			if tt.facts != "" {
				if err := os.MkdirAll(api.MemoryDir(socket), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(api.MemoryDir(socket), api.AgentFactsFile), []byte(tt.facts), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c := container(t, false)
			info, err := hook(socket, new(bytes.Buffer)).Prepare(t.Context(), commandTask(t, c, "flocker.volume.data", "data"))
			later := laterOf(t, info, err)
			if later == nil {
				return
			}
			want := &isolator.Later{Acquire: api.AcquireRequest{Consumer: "c1", Kind: api.ConsumerMesos, App: "/prod/db",
				Volumes: []api.VolumeRequest{{Key: "data", Path: "data", Name: "prod.db.data"}}}}
			if !reflect.DeepEqual(later, want) {
				t.Errorf("got  %+v\nwant %+v", later, want)
			}
			arguments := info.PreExec[0].Arguments
			if got := arguments[:10]; !slices.Equal(got, []string{"flocker-isolator", "mount", "--socket", socket, "--consumer", "c1", "--limit", tt.limit,
				"--outside", outside(t)}) || arguments[len(arguments)-1] != "rw:data=data" {
				t.Errorf("got %q", arguments)
			}
		})
	}
	t.Run("a mistake is refused at once all the same", func(t *testing.T) {
		agent := agenttest.Start(t, refuses(api.CodeInvalid))
		if info, err := hook(agent.Socket, new(bytes.Buffer)).Prepare(t.Context(), commandTask(t, container(t, false), "flocker.volume.data", "data")); err == nil {
			t.Errorf("got %+v", info)
		}
	})
	t.Run("a request that Mesos could not pass on is refused", func(t *testing.T) {
		var labels []string
		for i := range 250 {
			key := fmt.Sprintf("flocker.volume.v%d", i)
			labels = append(labels, key, fmt.Sprintf("path=d%d,name=%s%d", i, strings.Repeat("n", 190), i))
		}
		info, err := hook("/nowhere", new(bytes.Buffer)).Prepare(t.Context(), commandTask(t, container(t, false), labels...))
		if err == nil || !strings.Contains(err.Error(), "too large to wait") {
			t.Errorf("got %v, %v", info != nil, err)
		}
	})
}

// Where the agent has no Mesos agent to ask, containers without labels in their config
// have none to be asked for, and are not held up while the agent is away.
func TestPrepareHoldsUpNoTaskGroupWhereLabelsAreNotRead(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent.sock")
	if err := os.MkdirAll(api.MemoryDir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(api.MemoryDir(socket), api.AgentFactsFile), []byte(`{"wait_limit":1000,"labels":false}`), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := hook(socket, new(bytes.Buffer)).Prepare(t.Context(), nestedTask(container(t, false), "fw"))
	if info != nil || err != nil {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestPrepareFailsWithoutAProgramToStart(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return true }))
	h := hook(agent.Socket, new(bytes.Buffer))
	h.Store = func() (string, error) { return "", errors.New("no device file system") }
	_, err := h.Prepare(t.Context(), commandTask(t, container(t, false), "flocker.volume.data", "data"))
	if err == nil || !strings.Contains(err.Error(), "no device file system") || len(agent.Requests()) > 0 {
		t.Errorf("got %v, %+v", err, agent.Requests())
	}
}

func TestPrepareRefusesANestedSandboxThatIsALink(t *testing.T) {
	c := container(t, false)
	if err := os.Chown(c.Directory, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	symlink(t, "/etc", c.Directory+"/containers")
	c.Directory += "/containers"
	info, err := hook("/nowhere", new(bytes.Buffer)).Prepare(t.Context(), commandTask(t, c, "flocker.volume.data", "data"))
	if err == nil || !strings.Contains(err.Error(), "a symbolic link that other users than root can change") {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestPrepareAsksMesosForLabelsOfNestedTasks(t *testing.T) {
	labels := []api.Label{{Key: "flocker.volume.data", Value: "path=data,name=db"}}
	volumes := agenttest.Volumes(t, t.TempDir(), func() bool { return true })
	tests := []struct {
		name   string
		reply  api.LocalReply
		mounts int
		want   string
	}{
		{"with volumes", api.LocalReply{Done: true, Labels: labels}, 1, ""},
		{"without", api.LocalReply{Done: true, Labels: []api.Label{{Key: "a", Value: "b"}}}, 0, ""},
		{"no Mesos to ask", api.LocalReply{Done: true, Error: api.Errorf(api.CodeNotFound, "no Mesos")}, 0, ""},
		{"with a mistake", api.LocalReply{Done: true, Labels: append(labels, api.Label{Key: "flocker.volume.data.sise"})}, 0, "did you mean size?"},
		{"almost a label", api.LocalReply{Done: true, Labels: []api.Label{{Key: "flocker.volumes.data", Value: "data"}}}, 0, "did you mean flocker.volume.data?"},
		{"without a name", api.LocalReply{Done: true, Labels: []api.Label{{Key: "flocker.volume.data", Value: "data"}}}, 0, "needs a name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
				if req.Labels == nil {
					volumes(req, conn)
					return
				}
				if req.Labels.Container != "c2" || req.Labels.Parent != "c1" {
					t.Errorf("got %+v", req.Labels)
				}
				conn.Send(tt.reply)
			})
			info, err := hook(agent.Socket, new(bytes.Buffer)).Prepare(t.Context(), nestedTask(container(t, false), "fw"))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil || (info != nil) != (tt.mounts > 0) {
				t.Errorf("got %+v, %v", info, err)
			}
			if tt.mounts > 0 && agent.Requests()[1].Acquire.Consumer != "c1.c2" {
				t.Errorf("got %+v", agent.Requests()[1].Acquire)
			}
		})
	}
}

func TestPrepareWithoutAnAnswerAboutLabels(t *testing.T) {
	answering := true
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		switch {
		case !answering:
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeUnavailable, "Mesos does not answer")})
		case req.Labels != nil:
			// A mistake counts too: the framework means volumes.
			conn.Send(api.LocalReply{Done: true, Labels: []api.Label{{Key: "flocker.volume.data", Value: ""}}})
		}
	})
	h := hook(agent.Socket, new(bytes.Buffer))
	c := container(t, false)
	if _, err := h.Prepare(t.Context(), nestedTask(c, "with-volumes")); err == nil {
		t.Fatal("a bad label was accepted")
	}
	check := func(t *testing.T) {
		for framework, limit := range map[string]time.Duration{"with-volumes": 0, "unknown": 5 * time.Second, "": 5 * time.Second, "../agent.sock": 5 * time.Second} {
			info, err := h.Prepare(t.Context(), nestedTask(c, framework))
			later := laterOf(t, info, err)
			want := &isolator.Later{
				Acquire:  api.AcquireRequest{Consumer: "c1.c2", Kind: api.ConsumerMesos, Framework: framework},
				Labels:   &api.LabelsRequest{Container: "c2", Parent: "c1"},
				AskLimit: limit,
			}
			if !reflect.DeepEqual(later, want) {
				t.Errorf("framework %q: got %+v, want %+v", framework, later, want)
			}
		}
	}
	t.Run("Mesos does not answer the agent", func(t *testing.T) { answering = false; check(t) })
	t.Run("the agent is down", func(t *testing.T) { agent.Stop(); check(t) })
}

func TestCleanupReleasesWhatCanHaveVolumes(t *testing.T) {
	c := container(t, false)
	debug := nestedTask(c, "fw")
	debug.Config.Class = "DEBUG"
	tests := []struct {
		name string
		in   *isolator.Input
		want string // the consumer
	}{
		{"with volumes", commandTask(t, c, "flocker.volume.data", "data"), "c1"},
		{"with labels that are refused now", commandTask(t, c, "flocker.volume.data", ""), "c1"},
		{"without", commandTask(t, c, "team", "web"), ""},
		{"nested, not known", nestedTask(c, "fw"), "c1.c2"},
		{"health check", debug, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return true }))
			if err := hook(agent.Socket, new(bytes.Buffer)).Cleanup(t.Context(), tt.in); err != nil {
				t.Error(err)
			}
			got := ""
			if requests := agent.Requests(); len(requests) == 1 {
				got = requests[0].Release.Consumer
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrepareFilesFillsOneOfTheFiles(t *testing.T) {
	dir := t.TempDir()
	in, out, errs := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "err")
	agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return true }))
	c := container(t, false)
	for _, tt := range []struct {
		name, input string
		exit        int
		out, err    string
	}{
		{"volumes", `{"container_id":{"value":"a"},"container_config":{"directory":"` + c.Directory + `","task_info":{` + dataLabel + `}}}`,
			0, `{"clone_namespaces":[`, ""},
		{"none", `{"container_id":{"value":"a"},"container_config":{}}`, 0, "", ""},
		{"no JSON", `x`, 1, "", "read container config: invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for path, text := range map[string]string{in: tt.input, out: "", errs: ""} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			exit := hook(agent.Socket, &log).PrepareFiles(t.Context(), in, out, errs)
			gotOut, _ := os.ReadFile(out)
			gotErr, _ := os.ReadFile(errs)
			if exit != tt.exit || !strings.HasPrefix(string(gotOut), tt.out) || !strings.HasPrefix(string(gotErr), tt.err) ||
				(len(gotOut) > 0) != (tt.out != "") || (len(gotErr) > 0) != (tt.err != "") || log.Len() > 0 {
				t.Errorf("got %d, %q, %q, %q", exit, gotOut, gotErr, log.String())
			}
		})
	}
}

func TestPrepareFilesReportsFullDisks(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return true }))
	c := container(t, false)
	in := filepath.Join(t.TempDir(), "in")
	input := `{"container_id":{"value":"a"},"container_config":{"directory":"` + c.Directory + `","task_info":{` + dataLabel + `}}}`
	if err := os.WriteFile(in, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if exit := hook(agent.Socket, &log).PrepareFiles(t.Context(), in, "/dev/full", "/dev/full"); exit != 1 {
		t.Errorf("got exit code %d", exit)
	}
	if !strings.Contains(log.String(), "write launch info") || !strings.Contains(log.String(), "no space left") {
		t.Errorf("got %q", log.String())
	}
}

func TestCleanupFileNeverFails(t *testing.T) {
	dir := t.TempDir()
	for name, input := range map[string]string{
		"bad": "x", "volumes": `{"container_id":{"value":"a"},"container_config":{"task_info":{` + dataLabel + `}}}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		hook(filepath.Join(dir, "no.sock"), &log).CleanupFile(t.Context(), path)
		if !strings.HasPrefix(log.String(), "flocker: cleanup") {
			t.Errorf("%s: got %q", name, log.String())
		}
	}
	var log bytes.Buffer
	hook("", &log).CleanupFile(t.Context(), filepath.Join(dir, "missing"))
	if !strings.Contains(log.String(), "no such file") {
		t.Errorf("got %q", log.String())
	}
}

func TestPrepareGivesUpOnAHangingAgentWellBeforeMesosDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	agent := agenttest.Start(t, func(_ api.LocalRequest, conn *agenttest.Conn) { <-conn.Closed })
	in := commandTask(t, container(t, false), "flocker.volume.data", "data")
	done := make(chan struct{})
	go func() {
		defer close(done)
		info, err := hook(agent.Socket, new(bytes.Buffer)).Prepare(t.Context(), in)
		if later := laterOf(t, info, err); later != nil && later.Acquire.Consumer != "c1" {
			t.Errorf("got %+v", later)
		}
	}()
	select {
	case <-done:
	case <-time.After(25 * time.Second):
		t.Error("prepare still waits after 25 s")
	}
}

func TestPrepareTellsTheAgentWhichInstanceAsksForAMemberOfASet(t *testing.T) {
	agent := agenttest.Start(t, agenttest.Volumes(t, t.TempDir(), func() bool { return true }))
	in := commandTask(t, container(t, false), "flocker.volume.data", "path=/data,each=true")
	const instance = "prod_db.instance-b6ea2f51-4f0c-11ee-9e7c-0242ac110002"
	in.Config.Command.Environment.Variables = append(in.Config.Command.Environment.Variables,
		isolator.Variable{Name: "MESOS_TASK_ID", Value: instance + "._app.2"})
	if _, err := hook(agent.Socket, new(bytes.Buffer)).Prepare(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	got := agent.Requests()[0].Acquire
	if got.Instance != instance || got.Volumes[0].Each != api.EachInstance {
		t.Errorf("got %+v, want instance %s and a volume for each", got, instance)
	}
}
