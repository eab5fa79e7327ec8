package mesos_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/flocker-mesos/flocker/test/lab"
	"github.com/flocker-mesos/flocker/test/mesos"
)

// plugin is a CSI plugin that does nothing but make directories, and notes its calls.
type plugin struct {
	spec.UnimplementedIdentityServer
	spec.UnimplementedNodeServer

	host   *lab.Host
	server *grpc.Server

	mu     sync.Mutex
	noted  []notedCall
	refuse map[string]string // calls, as in "NodeStageVolume db", with the reason
	hang   bool
}

type notedCall struct {
	name     string // with the volume: NodeStageVolume db
	request  string
	deadline time.Duration
}

const pluginSocket = "/run/csi.sock"

// serve serves the plugin on its host until the host loses its power, or the test ends.
func (p *plugin) serve(t *testing.T) {
	t.Helper()
	l, err := p.host.Listen(t.Context(), "unix", pluginSocket)
	if err != nil {
		t.Fatal(err)
	}
	p.server = grpc.NewServer(grpc.UnaryInterceptor(p.note))
	spec.RegisterIdentityServer(p.server, p)
	spec.RegisterNodeServer(p.server, p)
	go func() { _ = p.server.Serve(l) }()
	t.Cleanup(p.server.Stop)
}

func (p *plugin) note(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	call := notedCall{name: path.Base(info.FullMethod)}
	if r, ok := req.(interface{ GetVolumeId() string }); ok {
		call.name += " " + r.GetVolumeId()
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req.(proto.Message))
	if err != nil {
		return nil, err
	}
	call.request = string(text)
	if deadline, ok := ctx.Deadline(); ok {
		call.deadline = time.Until(deadline)
	}
	p.mu.Lock()
	p.noted = append(p.noted, call)
	why, refused := p.refuse[call.name]
	hang := p.hang
	p.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if refused {
		return nil, status.Error(codes.FailedPrecondition, why)
	}
	return handle(ctx, req)
}

func (p *plugin) set(call, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse[call] = why; why == "" {
		delete(p.refuse, call)
	}
}

// calls returns the calls noted since it was last asked, without those by which a
// plugin is initialised.
func (p *plugin) calls() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, c := range p.noted {
		switch c.name {
		case "Probe", "GetPluginCapabilities", "GetPluginInfo", "NodeGetCapabilities":
		default:
			names = append(names, strings.TrimPrefix(c.name, "Node"))
		}
	}
	p.noted = nil
	return strings.Join(names, ", ")
}

func (p *plugin) Probe(context.Context, *spec.ProbeRequest) (*spec.ProbeResponse, error) {
	return &spec.ProbeResponse{}, nil
}

func (p *plugin) GetPluginInfo(context.Context, *spec.GetPluginInfoRequest) (*spec.GetPluginInfoResponse, error) {
	return &spec.GetPluginInfoResponse{Name: "csi.flocker.test"}, nil
}

func (p *plugin) GetPluginCapabilities(context.Context, *spec.GetPluginCapabilitiesRequest) (*spec.GetPluginCapabilitiesResponse, error) {
	return &spec.GetPluginCapabilitiesResponse{}, nil
}

func (p *plugin) NodeGetCapabilities(context.Context, *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	return &spec.NodeGetCapabilitiesResponse{Capabilities: []*spec.NodeServiceCapability{{Type: &spec.NodeServiceCapability_Rpc{
		Rpc: &spec.NodeServiceCapability_RPC{Type: spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME},
	}}}}, nil
}

func (p *plugin) NodeStageVolume(context.Context, *spec.NodeStageVolumeRequest) (*spec.NodeStageVolumeResponse, error) {
	return &spec.NodeStageVolumeResponse{}, nil
}

func (p *plugin) NodePublishVolume(_ context.Context, r *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	return &spec.NodePublishVolumeResponse{}, os.MkdirAll(p.host.Path(r.GetTargetPath()), 0o755)
}

func (p *plugin) NodeUnpublishVolume(_ context.Context, r *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	return &spec.NodeUnpublishVolumeResponse{}, os.RemoveAll(p.host.Path(r.GetTargetPath()))
}

func (p *plugin) NodeUnstageVolume(context.Context, *spec.NodeUnstageVolumeRequest) (*spec.NodeUnstageVolumeResponse, error) {
	return &spec.NodeUnstageVolumeResponse{}, nil
}

// csiAgent starts a played Mesos agent with the volume/csi isolator and a plugin.
func csiAgent(t *testing.T, config mesos.Config) (*mesos.Agent, *plugin) {
	t.Helper()
	config.CSI = append(config.CSI, mesos.CSIPlugin{
		Type: "csi.flocker.test", Name: "local", Deadline: 10 * time.Second,
		Endpoints: []mesos.CSIEndpoint{{Service: "NODE_SERVICE", Endpoint: "unix://" + pluginSocket}},
	})
	a, h := agent(t, nil, config)
	p := &plugin{host: h, refuse: map[string]string{}}
	p.serve(t)
	return a, p
}

func csiTask(id, volume, command string) *mesos.Task {
	return &mesos.Task{ID: id, Command: command, CSI: []mesos.CSIVolume{{
		Plugin: "csi.flocker.test", ID: volume, ContainerPath: "data", AccessMode: "SINGLE_NODE_WRITER",
	}}}
}

const untilGo = "until [ -e /srv/go ]; do sleep 0.01; done"

func running(t *testing.T, r *mesos.Run) {
	t.Helper()
	if err := r.Await(deadline(t), mesos.StateRunning); err != nil {
		t.Fatal(err)
	}
}

// recordedCall is a line of csi-calls.jsonl.
type recordedCall struct {
	Method   string
	Request  any
	Deadline string
}

func TestCSICallsAreThoseOfARealMesos(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/recordings/csi-volume/csi-calls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var want []recordedCall
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c recordedCall
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	a, p := csiAgent(t, mesos.Config{CSI: []mesos.CSIPlugin{}})
	task := &mesos.Task{ID: "csi1", Command: "echo stored >data/MARK; cat data/MARK", CSI: []mesos.CSIVolume{{
		Plugin: "csi.flocker.test", ID: "vol-pgdata", ContainerPath: "data",
		AccessMode: "SINGLE_NODE_WRITER", FSType: "ext4", MountFlags: []string{"noatime"},
		Context: map[string]string{"flocker.name": "pgdata", "flocker.size": "1G"},
	}}}
	r := launch(t, a, task)
	if u := ended(t, r); u.State != mesos.StateFinished || r.Stdout() != "stored\n" {
		t.Errorf("the task is %+v and printed %q\n%s", u, r.Stdout(), r.Stderr())
	}
	gone(t, r)
	if len(p.noted) != 4+len(want) {
		t.Fatalf("%d calls came, want 4 to begin with, and %d recorded ones: %+v", len(p.noted), len(want), p.noted)
	}
	for i, name := range []string{"Probe", "GetPluginCapabilities", "GetPluginInfo", "NodeGetCapabilities"} {
		if p.noted[i].name != name {
			t.Errorf("call %d is %s, want %s", i, p.noted[i].name, name)
		}
	}
	for i, w := range want {
		got := p.noted[4+i]
		var request any
		if err := json.Unmarshal([]byte(got.request), &request); err != nil {
			t.Fatal(err)
		}
		if name, _, _ := strings.Cut(got.name, " "); "/csi.v1.Node/"+name != w.Method || !reflect.DeepEqual(request, w.Request) {
			t.Errorf("call %d is %s %s, want %s %v", i, got.name, got.request, w.Method, w.Request)
		}
	}
}

func TestCSICallsHaveMesosDeadline(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{CSI: []mesos.CSIPlugin{{
		Type: "csi.flocker.test", Endpoints: []mesos.CSIEndpoint{{Service: "NODE_SERVICE", Endpoint: "unix://" + pluginSocket}},
	}}})
	p := &plugin{host: h}
	p.serve(t)
	gone(t, launch(t, a, csiTask("one", "db", "true")))
	for _, c := range p.noted {
		if c.deadline < 50*time.Second || c.deadline > time.Minute {
			t.Errorf("%s has %s, want a minute", c.name, c.deadline)
		}
	}
}

func TestFurtherContainersHaveTheVolumePublishedAgainAndTakenDownOnce(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{})
	one := launch(t, a, csiTask("one", "db", untilGo))
	running(t, one)
	two := launch(t, a, csiTask("two", "db", "true"))
	gone(t, two)
	if got, want := p.calls(), "StageVolume db, PublishVolume db, StageVolume db, PublishVolume db"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
	write(t, p.host.Path("/srv/go"))
	gone(t, one)
	if got, want := p.calls(), "UnpublishVolume db, UnstageVolume db"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestRefusalsOfAPluginReachTheFramework(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{})
	for _, tt := range []struct{ call, calls string }{
		{"NodeStageVolume db", "StageVolume db, UnstageVolume db"},
		{"NodePublishVolume db", "StageVolume db, PublishVolume db, UnpublishVolume db, UnstageVolume db"},
	} {
		p.set(tt.call, "because")
		r := launch(t, a, csiTask("one", "db", "true"))
		u := ended(t, r)
		gone(t, r)
		if u.State != mesos.StateFailed || u.Message != "Failed to launch container: FAILED_PRECONDITION: because" {
			t.Errorf("%s: the task is %+v", tt.call, u)
		}
		if got := p.calls(); got != tt.calls {
			t.Errorf("%s: calls are %q, want %q", tt.call, got, tt.calls)
		}
		p.set(tt.call, "")
	}
}

func TestPluginThatHangsFailsTheLaunch(t *testing.T) {
	t.Parallel()
	a, h := agent(t, nil, mesos.Config{CSI: []mesos.CSIPlugin{{
		Type: "csi.flocker.test", Deadline: 200 * time.Millisecond,
		Endpoints: []mesos.CSIEndpoint{{Service: "NODE_SERVICE", Endpoint: "unix://" + pluginSocket}},
	}}})
	p := &plugin{host: h, hang: true}
	p.serve(t)
	u := ended(t, launch(t, a, csiTask("one", "db", "true")))
	if u.Message != "Failed to launch container: DEADLINE_EXCEEDED: Deadline Exceeded" {
		t.Errorf("the task is %+v", u)
	}
}

func TestRestartedAgentAsksNothingOfVolumesInUse(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{})
	r := launch(t, a, csiTask("one", "db", untilGo))
	running(t, r)
	p.calls()
	a.Kill()
	restart(t, a)
	write(t, p.host.Path("/srv/go"))
	gone(t, r)
	if got, want := p.calls(), "UnpublishVolume db, UnstageVolume db"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestVolumeOfAnOrphanIsTakenDownByTheNextAgent(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{NoCheckpoint: true})
	running(t, launch(t, a, csiTask("one", "db", "sleep infinity")))
	p.calls()
	a.Kill()
	restart(t, a)
	var all []string
	until(t, "it is taken down", func() bool {
		all = append(all, p.calls())
		return strings.Contains(strings.Join(all, ""), "UnstageVolume db")
	})
}

func TestFailedUnpublishIsTriedAgainByTheNextAgent(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{})
	p.set("NodeUnpublishVolume db", "busy")
	gone(t, launch(t, a, csiTask("one", "db", "true")))
	if a.DestroyErrors() != 1 {
		t.Errorf("%d cleanups have failed, want 1", a.DestroyErrors())
	}
	p.set("NodeUnpublishVolume db", "")
	p.calls()
	a.Kill()
	restart(t, a)
	want := "UnpublishVolume db, PublishVolume db, UnpublishVolume db, UnstageVolume db"
	awaitCalls(t, p, want)
}

func TestAfterARebootWhatWasPublishedIsPublishedAgain(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{})
	running(t, launch(t, a, csiTask("one", "db", "sleep infinity")))
	p.calls()
	reboot := func() {
		t.Helper()
		a.Kill()
		p.server.Stop()
		if err := p.host.Reboot(deadline(t)); err != nil {
			t.Fatal(err)
		}
		p.serve(t)
		restart(t, a)
	}
	reboot()
	awaitCalls(t, p, "StageVolume db, PublishVolume db, UnpublishVolume db, UnstageVolume db")

	// Where that is refused, no volume can be had.
	running(t, launch(t, a, csiTask("one", "db", "sleep infinity")))
	p.set("NodeStageVolume db", "it is elsewhere")
	reboot()
	u := ended(t, launch(t, a, csiTask("two", "other", "true")))
	if !strings.Contains(u.Message, "FAILED_PRECONDITION: it is elsewhere") {
		t.Errorf("the task is %+v", u)
	}
	p.set("NodeStageVolume db", "")
	if u := ended(t, launch(t, a, csiTask("three", "other", "true"))); u.State != mesos.StateFinished {
		t.Errorf("the task is %+v", u)
	}
}

func awaitCalls(t *testing.T, p *plugin, want string) {
	t.Helper()
	var got []string
	err := lab.Until(deadline(t), "the calls are "+want, func() error {
		if more := p.calls(); more != "" {
			got = append(got, more)
		}
		if strings.Join(got, ", ") != want {
			return fmt.Errorf("they are %q", strings.Join(got, ", "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A task may follow at once on another whose launch failed, and whose cleanup is still
// under way.
func TestCleanupLeavesTheVolumeOfTheNextTask(t *testing.T) {
	t.Parallel()
	a, p := csiAgent(t, mesos.Config{Linger: time.Millisecond})
	for _, volume := range []string{"a", "b", "c", "d"} {
		t.Run(volume, func(t *testing.T) {
			t.Parallel()
			for range 20 {
				p.set("NodePublishVolume "+volume, "not now")
				ended(t, launch(t, a, csiTask("one", volume, "true")))
				p.set("NodePublishVolume "+volume, "")
				r := launch(t, a, csiTask("two", volume, "true"))
				if u := ended(t, r); u.State != mesos.StateFinished {
					t.Fatalf("the task is %+v: %s", u, r.Stderr())
				}
				gone(t, r)
			}
		})
	}
}
