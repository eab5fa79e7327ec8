package csi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/flocker-mesos/flocker/agent/csi"
	"github.com/flocker-mesos/flocker/agent/local"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// volumes plays the agent: a volume is a file system in memory.
type volumes struct {
	t    *testing.T
	root string

	mu        sync.Mutex
	consumers map[string]api.VolumeRequest
	away      map[string]string // volumes that do not come, with the reason
	failure   error             // of every Acquire
	refuse    int               // Acquires to come for which the control service is away
}

func newVolumes(t *testing.T) *volumes {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it mounts file systems")
	}
	v := &volumes{t: t, root: t.TempDir(), consumers: map[string]api.VolumeRequest{}, away: map[string]string{}}
	t.Cleanup(func() {
		names, _ := os.ReadDir(v.root)
		for _, n := range names {
			if err := host.Unmount(filepath.Join(v.root, n.Name())); err != nil {
				t.Error(err)
			}
		}
	})
	return v
}

func (v *volumes) source(name string) string { return filepath.Join(v.root, name) }

func (v *volumes) Acquire(_ context.Context, req api.AcquireRequest) ([]api.Mount, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuse > 0 {
		v.refuse--
		return nil, api.Errorf(api.CodeUnavailable, "the control service cannot be reached")
	}
	if v.failure != nil {
		return nil, v.failure
	}
	if req.Kind != api.ConsumerCSI || len(req.Volumes) != 1 {
		v.t.Errorf("acquired %+v", req)
	}
	v.consumers[req.Consumer] = req.Volumes[0]
	return []api.Mount{{Name: req.Volumes[0].Name}}, nil
}

func (v *volumes) Await(ctx context.Context, consumer string, progress func(string)) ([]api.Mount, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	want, ok := v.consumers[consumer]
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "no consumer %s", consumer)
	}
	if why, away := v.away[want.Name]; away {
		progress(why + ". Waiting, for 45s at the most.")
		v.mu.Unlock()
		<-ctx.Done()
		v.mu.Lock()
		return nil, ctx.Err()
	}
	source := v.source(want.Name)
	at, mounted, err := host.Mounted(source)
	if err == nil && !mounted {
		err = errors.Join(os.MkdirAll(source, 0o755), unix.Mount("volume", source, "tmpfs", 0, ""))
		if err == nil {
			at, _, err = host.Mounted(source)
		}
	}
	return []api.Mount{{Name: want.Name, DatasetID: "d-" + api.DatasetID(want.Name), Source: source, Device: at.Device, Ready: true}}, err
}

func (v *volumes) Release(_ context.Context, consumer string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.consumers, consumer)
	return nil
}

// used returns the names of the volumes in use.
func (v *volumes) used() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for _, want := range v.consumers {
		names = append(names, want.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (v *volumes) keepAway(name, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away[name] = why; why == "" {
		delete(v.away, name)
	}
}

// plugin is a server that can be stopped and started, and its client.
type plugin struct {
	t     *testing.T
	v     *volumes
	dir   string
	boot  string
	limit time.Duration
	log   *bytes.Buffer

	node spec.NodeClient
	conn *grpc.ClientConn
	stop func()
}

func newPlugin(t *testing.T) *plugin {
	p := &plugin{t: t, v: newVolumes(t), dir: t.TempDir(), boot: "boot-1", log: new(bytes.Buffer)}
	t.Cleanup(func() {
		if p.stop != nil {
			p.stop()
		}
		// What a test leaves published.
		table, err := host.MountTable()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range table {
			if strings.HasPrefix(m.Target, p.dir+"/") {
				_ = host.Unmount(m.Target)
			}
		}
	})
	p.start()
	return p
}

func (p *plugin) start() {
	p.t.Helper()
	records, err := csi.OpenRecords(filepath.Join(p.dir, "records"), p.boot, slog.New(slog.NewTextHandler(p.log, nil)))
	if err != nil {
		p.t.Fatal(err)
	}
	socket := filepath.Join(p.dir, "csi.sock")
	l, err := local.Listen(socket)
	if err != nil {
		p.t.Fatal(err)
	}
	server := &csi.Server{
		Volumes: p.v, Records: records, Node: "node-1", Version: "test", Limit: p.limit,
		Log: slog.New(slog.NewTextHandler(p.log, nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	if p.conn, err = grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		p.t.Fatal(err)
	}
	p.node = spec.NewNodeClient(p.conn)
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("serve ended: %v", err)
		}
		_ = p.conn.Close()
		p.stop = nil
	}
}

// restart starts the agent again, after kill -9 or an update.
func (p *plugin) restart() {
	p.stop()
	p.start()
}

// reboot starts the machine again: nothing is mounted, nobody consumes.
func (p *plugin) reboot() {
	p.t.Helper()
	p.stop()
	table, err := host.MountTable()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range table {
		if strings.HasPrefix(m.Target, p.dir+"/") || strings.HasPrefix(m.Target, p.v.root+"/") {
			if err := host.Unmount(m.Target); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	p.v.consumers = map[string]api.VolumeRequest{}
	p.boot += "1"
	p.start()
}

// paths are those that Mesos has for a volume; the directory is made.
func (p *plugin) paths(volume string) (staging, target string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, "mounts", volume)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	return filepath.Join(dir, "staging"), filepath.Join(dir, "target")
}

func capability(mode spec.VolumeCapability_AccessMode_Mode, fs string, flags ...string) *spec.VolumeCapability {
	return &spec.VolumeCapability{
		AccessType: &spec.VolumeCapability_Mount{Mount: &spec.VolumeCapability_MountVolume{FsType: fs, MountFlags: flags}},
		AccessMode: &spec.VolumeCapability_AccessMode{Mode: mode},
	}
}

var writer = capability(spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, "ext4")

func (p *plugin) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *plugin) stage(volume string) error {
	staging, _ := p.paths(volume)
	_, err := p.node.NodeStageVolume(p.ctx(), &spec.NodeStageVolumeRequest{
		VolumeId: volume, StagingTargetPath: staging, VolumeCapability: writer, VolumeContext: map[string]string{"size": "1GiB"},
		Secrets: map[string]string{"password": "s3cret"},
	})
	return err
}

func (p *plugin) publish(volume string, readOnly bool) error {
	staging, target := p.paths(volume)
	_, err := p.node.NodePublishVolume(p.ctx(), &spec.NodePublishVolumeRequest{
		VolumeId: volume, StagingTargetPath: staging, TargetPath: target, VolumeCapability: writer, Readonly: readOnly,
		Secrets: map[string]string{"password": "s3cret"},
	})
	return err
}

func (p *plugin) unpublish(volume string) error {
	_, target := p.paths(volume)
	_, err := p.node.NodeUnpublishVolume(p.ctx(), &spec.NodeUnpublishVolumeRequest{VolumeId: volume, TargetPath: target})
	return err
}

func (p *plugin) unstage(volume string) error {
	staging, _ := p.paths(volume)
	_, err := p.node.NodeUnstageVolume(p.ctx(), &spec.NodeUnstageVolumeRequest{VolumeId: volume, StagingTargetPath: staging})
	return err
}

// calls makes calls by their names, which all succeed.
func (p *plugin) calls(volume, names string) {
	p.t.Helper()
	for name := range strings.FieldsSeq(names) {
		var err error
		switch name {
		case "stage":
			err = p.stage(volume)
		case "publish":
			err = p.publish(volume, false)
		case "unpublish":
			err = p.unpublish(volume)
		case "unstage":
			err = p.unstage(volume)
		case "restart":
			p.restart()
		case "reboot":
			p.reboot()
		default:
			err = fmt.Errorf("no call %s", name)
		}
		if err != nil {
			p.t.Fatalf("%s (of %s): %v", name, names, err)
		}
	}
}

// wantRefused expects a failure with a code and a text.
func wantRefused(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// hasVolume reports whether a volume is what is at its target.
func (p *plugin) hasVolume(volume string) bool {
	p.t.Helper()
	_, target := p.paths(volume)
	at, mounted, err := host.Mounted(target)
	if err != nil {
		p.t.Fatal(err)
	}
	of, _, err := host.Mounted(p.v.source(volume))
	if err != nil {
		p.t.Fatal(err)
	}
	return mounted && at.Device == of.Device
}
