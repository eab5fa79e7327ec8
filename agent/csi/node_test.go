package csi_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/flocker-mesos/flocker/agent/csi"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

func TestPluginSaysWhoItIs(t *testing.T) {
	p := newPlugin(t)
	identity := spec.NewIdentityClient(p.conn)
	info, err := identity.GetPluginInfo(p.ctx(), &spec.GetPluginInfoRequest{})
	if err != nil || info.GetName() != "csi.flocker.mesos" || info.GetVendorVersion() != "test" {
		t.Errorf("plugin info is %v, %v", info, err)
	}
	ready, err := identity.Probe(p.ctx(), &spec.ProbeRequest{})
	if err != nil || !ready.GetReady().GetValue() {
		t.Errorf("probe says %v, %v", ready, err)
	}
	node, err := p.node.NodeGetInfo(p.ctx(), &spec.NodeGetInfoRequest{})
	if err != nil || node.GetNodeId() != "node-1" {
		t.Errorf("node info is %v, %v", node, err)
	}
}

func TestAllContainersShareAVolumeThatIsTakenDownOnce(t *testing.T) {
	p := newPlugin(t)
	_, target := p.paths("db")
	// A second container comes, the agent is started again, a third one comes.
	p.calls("db", "stage publish stage publish restart stage publish")
	if !p.hasVolume("db") || p.v.used() != "db" {
		t.Errorf("the volume is at its target: %v; in use are %q", p.hasVolume("db"), p.v.used())
	}
	if err := os.WriteFile(filepath.Join(target, "row"), nil, 0o600); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.v.source("db"), "row")); err != nil {
		t.Errorf("what was written is not in the volume: %v", err)
	}
	wantRefused(t, p.unstage("db"), codes.FailedPrecondition, "still published at "+target)
	p.calls("db", "restart unpublish unpublish")
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the target path is still there: %v", err)
	}
	if p.v.used() != "db" {
		t.Error("the volume was let go of while it was staged")
	}
	p.calls("db", "unstage unstage")
	if p.v.used() != "" {
		t.Errorf("in use are %q", p.v.used())
	}
	if left, err := os.ReadDir(filepath.Join(p.dir, "records", p.boot)); err != nil || len(left) > 0 {
		t.Errorf("records are left: %v, %v", left, err)
	}
	if log := p.log.String(); strings.Contains(log, "s3cret") || !strings.Contains(log, `msg="volume published" volume=db dataset=d-db target=`+target) {
		t.Errorf("the log is\n%s", log)
	}
}

func TestReadersCanNotWriteNorShareAPathWithWriters(t *testing.T) {
	p := newPlugin(t)
	_, target := p.paths("db")
	p.calls("db", "stage")
	for range 2 {
		if err := p.publish("db", true); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(target, "row"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("wrote with %v", err)
	}
	wantRefused(t, p.publish("db", false), codes.AlreadyExists, "published at "+target+" as ro, for containers that run here, and cannot be there as rw")
	if !p.hasVolume("db") {
		t.Error("the readers have lost their volume")
	}
	p.calls("db", "unpublish publish")
	wantRefused(t, p.publish("db", true), codes.AlreadyExists, "as rw, for containers that run here, and cannot be there as ro")
	p.calls("db", "unpublish unstage")
}

func TestMountFlagsHoldAtTheTarget(t *testing.T) {
	p := newPlugin(t)
	staging, target := p.paths("db")
	p.calls("db", "stage")
	_, err := p.node.NodePublishVolume(p.ctx(), &spec.NodePublishVolumeRequest{
		VolumeId: "db", StagingTargetPath: staging, TargetPath: target,
		VolumeCapability: capability(spec.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY, "", "noexec", "noatime"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var at unix.Statfs_t
	if err := unix.Statfs(target, &at); err != nil {
		t.Fatal(err)
	}
	const want = unix.ST_RDONLY | unix.ST_NOEXEC | unix.ST_NOATIME
	if at.Flags&want != want {
		t.Errorf("the flags are %#x, want %#x", at.Flags, want)
	}
	p.calls("db", "unpublish unstage")
}

func TestVolumeThatDoesNotComeInTimeIsExplainedAndStaysWanted(t *testing.T) {
	p := newPlugin(t)
	p.stop()
	p.limit = 100 * time.Millisecond
	p.start()
	p.v.keepAway("db", "Dataset db is mounted on node2")
	wantRefused(t, p.stage("db"), codes.Aborted, "Dataset db is mounted on node2; the volume stays wanted on this node until it is unstaged")
	if p.v.used() != "db" {
		t.Error("nobody wants the volume any more")
	}
	if log := p.log.String(); !strings.Contains(log, "Dataset db is mounted on node2") {
		t.Errorf("the log has no reason:\n%s", log)
	}
	// Mesos takes back what it could not stage.
	p.calls("db", "unstage")
	if p.v.used() != "" {
		t.Error("it is still wanted")
	}
	p.v.keepAway("db", "")
	p.calls("db", "stage publish unpublish unstage")
}

func TestStageWaitsWhileTheControlServiceIsAway(t *testing.T) {
	p := newPlugin(t)
	p.v.refuse = 2
	p.calls("db", "stage")
	if p.v.used() != "db" || p.v.refuse != 0 {
		t.Errorf("in use are %q, and %d refusals are left", p.v.used(), p.v.refuse)
	}
	p.calls("db", "unstage")
}

func TestCallsAboutAVolumeWaitForEachOther(t *testing.T) {
	p := newPlugin(t)
	staging, _ := p.paths("db")
	p.v.keepAway("db", "Dataset db is mounted on node2")
	ctx, cancel := context.WithCancel(p.ctx())
	staged := make(chan error, 1)
	go func() {
		_, err := p.node.NodeStageVolume(ctx, &spec.NodeStageVolumeRequest{VolumeId: "db", StagingTargetPath: staging, VolumeCapability: writer})
		staged <- err
	}()
	for p.v.used() != "db" {
		runtime.Gosched()
	}
	short, end := context.WithTimeout(p.ctx(), 100*time.Millisecond)
	defer end()
	if _, err := p.node.NodeUnstageVolume(short, &spec.NodeUnstageVolumeRequest{VolumeId: "db", StagingTargetPath: staging}); err == nil {
		t.Error("unstaged while it is being staged")
	}
	p.calls("other", "stage publish unpublish unstage")
	// Mesos gives up, and takes back what it has begun.
	cancel()
	if err := <-staged; err == nil {
		t.Error("staged though the volume is elsewhere")
	}
	p.calls("db", "unstage")
	if p.v.used() != "" {
		t.Errorf("in use are %q", p.v.used())
	}
}

func TestAgentThatStopsEndsWhatWaits(t *testing.T) {
	p := newPlugin(t)
	p.v.keepAway("db", "Dataset db is mounted on node2")
	staged := make(chan error, 1)
	go func() { staged <- p.stage("db") }()
	for p.v.used() != "db" {
		runtime.Gosched()
	}
	begin := time.Now()
	p.stop()
	wantRefused(t, <-staged, codes.Aborted, "Dataset db is mounted on node2")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	p.start()
	p.v.keepAway("db", "")
	p.calls("db", "stage publish unpublish unstage")
}

func TestAnswerComesBeforeTheCallerGivesUp(t *testing.T) {
	p := newPlugin(t)
	p.v.keepAway("db", "Dataset db is mounted on node2")
	staging, _ := p.paths("db")
	ctx, cancel := context.WithTimeout(p.ctx(), 500*time.Millisecond)
	defer cancel()
	_, err := p.node.NodeStageVolume(ctx, &spec.NodeStageVolumeRequest{VolumeId: "db", StagingTargetPath: staging, VolumeCapability: writer})
	wantRefused(t, err, codes.Aborted, "Dataset db is mounted on node2")
}

func TestFailuresOfTheAgentAreTranslated(t *testing.T) {
	p := newPlugin(t)
	p.stop()
	p.limit = 100 * time.Millisecond
	p.start()
	for code, want := range map[api.Code]codes.Code{
		api.CodeInvalid: codes.InvalidArgument, api.CodeConflict: codes.FailedPrecondition, api.CodeDeleted: codes.NotFound,
		api.CodeUnavailable: codes.Unavailable, api.CodeInternal: codes.Internal,
	} {
		p.v.failure = api.Errorf(code, "because")
		wantRefused(t, p.stage("db"), want, "because")
	}
}

func TestWhatIsInTheWayIsLeftAlone(t *testing.T) {
	p := newPlugin(t)
	_, target := p.paths("db")
	wantRefused(t, p.publish("db", false), codes.FailedPrecondition, "not staged")
	p.calls("db", "stage")

	if err := os.MkdirAll(filepath.Join(target, "precious"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, p.publish("db", false), codes.FailedPrecondition, "holds files that are in no volume")
	wantRefused(t, p.unpublish("db"), codes.FailedPrecondition, "holds files that are in no volume")
	if err := os.Remove(filepath.Join(target, "precious")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("other", target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, p.publish("db", false), codes.FailedPrecondition, "something else is mounted at "+target)
	wantRefused(t, p.unpublish("db"), codes.FailedPrecondition, "is not volume db: it stays there")
	if err := errors.Join(host.Unmount(target), os.Remove(target), os.Symlink("/etc", target)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, p.publish("db", false), codes.FailedPrecondition, "is no directory")
	wantRefused(t, p.unpublish("db"), codes.FailedPrecondition, "is no directory")
	if err := errors.Join(os.Remove(target), os.Remove(filepath.Dir(target))); err != nil {
		t.Fatal(err)
	}
	staging := filepath.Join(filepath.Dir(target), "staging")
	_, err := p.node.NodePublishVolume(p.ctx(), &spec.NodePublishVolumeRequest{
		VolumeId: "db", StagingTargetPath: staging, TargetPath: target, VolumeCapability: writer,
	})
	wantRefused(t, err, codes.FailedPrecondition, "there is no directory "+filepath.Dir(target))
	p.calls("db", "unpublish unstage")
}

func TestBusyVolumeNamesItsUsers(t *testing.T) {
	p := newPlugin(t)
	_, target := p.paths("db")
	p.calls("db", "stage publish")
	f, err := os.Create(filepath.Join(target, "open"))
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, p.unpublish("db"), codes.FailedPrecondition, "(csi.test, user root) has ")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.calls("db", "unpublish unstage")
}

func TestCallsThatCanNotBeMetAreRefused(t *testing.T) {
	p := newPlugin(t)
	staging, target := p.paths("db")
	for name, tt := range map[string]struct {
		change func(*spec.NodeStageVolumeRequest, *spec.NodePublishVolumeRequest)
		want   string
	}{
		"no volume": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.VolumeId, b.VolumeId = "", ""
		}, "volume_id: is missing"},
		"a raw device": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			block := &spec.VolumeCapability{AccessType: &spec.VolumeCapability_Block{Block: &spec.VolumeCapability_BlockVolume{}}}
			s.VolumeCapability, b.VolumeCapability = block, block
		}, "access type block is not possible"},
		"no access type": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.VolumeCapability, b.VolumeCapability = &spec.VolumeCapability{}, &spec.VolumeCapability{}
		}, "the access type is missing"},
		"no capability": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.VolumeCapability, b.VolumeCapability = nil, nil
		}, "volume_capability: is missing"},
		"several machines": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			many := capability(spec.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER, "")
			s.VolumeCapability, b.VolumeCapability = many, many
		}, "MULTI_NODE_MULTI_WRITER is not possible"},
		"no access mode": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			none := capability(spec.VolumeCapability_AccessMode_UNKNOWN, "")
			s.VolumeCapability, b.VolumeCapability = none, none
		}, "ask for SINGLE_NODE_WRITER or SINGLE_NODE_READER_ONLY"},
		"a file system": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			other := capability(spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, "btrfs")
			s.VolumeCapability, b.VolumeCapability = other, other
		}, `fs "btrfs" is not possible`},
		"a mount flag": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			other := capability(spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, "", "data=journal")
			s.VolumeCapability, b.VolumeCapability = other, other
		}, `mount_flags: "data=journal" is not possible`},
		"a setting": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			context := map[string]string{"sise": "1G"}
			s.VolumeContext, b.VolumeContext = context, context
		}, `volume_context.sise: "sise" is not a setting of a CSI volume: did you mean size?`},
		"a relative path": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.StagingTargetPath, b.TargetPath = "staging", "target"
		}, "is not an absolute path"},
		"a path with dots": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.StagingTargetPath, b.TargetPath = staging+"/../../x", target+"/../../x"
		}, "without . and .."},
		"everything": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.StagingTargetPath, b.TargetPath = "/", "/"
		}, "is not an absolute path below /"},
		"a long path": {func(s *spec.NodeStageVolumeRequest, b *spec.NodePublishVolumeRequest) {
			s.StagingTargetPath, b.TargetPath = "/"+strings.Repeat("x", 5000), "/"+strings.Repeat("x", 5000)
		}, "is longer than 4095 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			stage := &spec.NodeStageVolumeRequest{VolumeId: "db", StagingTargetPath: staging, VolumeCapability: writer}
			publish := &spec.NodePublishVolumeRequest{VolumeId: "db", StagingTargetPath: staging, TargetPath: target, VolumeCapability: writer}
			tt.change(stage, publish)
			_, err := p.node.NodeStageVolume(p.ctx(), stage)
			wantRefused(t, err, codes.InvalidArgument, tt.want)
			_, err = p.node.NodePublishVolume(p.ctx(), publish)
			wantRefused(t, err, codes.InvalidArgument, tt.want)
		})
	}
	_, err := p.node.NodeStageVolume(p.ctx(), &spec.NodeStageVolumeRequest{
		VolumeId: "db", StagingTargetPath: staging, VolumeCapability: writer, VolumeContext: map[string]string{"x": strings.Repeat("x", 1<<20)},
	})
	wantRefused(t, err, codes.ResourceExhausted, "larger than max")
	if p.v.used() != "" {
		t.Errorf("in use are %q", p.v.used())
	}
}

func TestVolumeIsLetGoOfWithItsLastStagingPath(t *testing.T) {
	p := newPlugin(t)
	p.calls("db", "stage")
	// Nomad has one for each way in which a volume is used.
	other := filepath.Join(p.dir, "other")
	if _, err := p.node.NodeStageVolume(p.ctx(), &spec.NodeStageVolumeRequest{VolumeId: "db", StagingTargetPath: other, VolumeCapability: writer}); err != nil {
		t.Fatal(err)
	}
	p.calls("db", "unstage restart")
	if p.v.used() != "db" {
		t.Error("the volume was let go of while it was staged elsewhere")
	}
	if _, err := p.node.NodeUnstageVolume(p.ctx(), &spec.NodeUnstageVolumeRequest{VolumeId: "db", StagingTargetPath: other}); err != nil {
		t.Fatal(err)
	}
	if p.v.used() != "" {
		t.Error("it is still in use")
	}
}

func TestStatsAreOfThePublishedVolume(t *testing.T) {
	p := newPlugin(t)
	_, target := p.paths("db")
	ask := func(path string) (*spec.NodeGetVolumeStatsResponse, error) {
		return p.node.NodeGetVolumeStats(p.ctx(), &spec.NodeGetVolumeStatsRequest{VolumeId: "db", VolumePath: path})
	}
	_, err := ask(target)
	wantRefused(t, err, codes.NotFound, "not published at "+target)
	p.calls("db", "stage publish")
	stats, err := ask(target)
	if err != nil || len(stats.GetUsage()) != 2 || stats.GetUsage()[0].GetTotal() <= 0 {
		t.Errorf("got %v, %v", stats, err)
	}
	_, err = ask("/proc")
	wantRefused(t, err, codes.NotFound, "not published at /proc")
	p.calls("db", "unpublish unstage")
}

func TestDamagedRecordIsSetAside(t *testing.T) {
	text := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	for name, make := range map[string]func(path string) error{
		"cut short": text(`{"volume":"db","boo`), "empty": text(""), "another": text("{}"), "of another volume": text(`{"volume":"x"}`),
		"too long":            text(strings.Repeat(" ", 1<<20+1)),
		"link":                func(path string) error { return os.Symlink("/etc/passwd", path) },
		"directory":           func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"pipe":                func(path string) error { return unix.Mkfifo(path, 0o600) },
		"writable for others": func(path string) error { return errors.Join(text(`{"volume":"db"}`)(path), os.Chmod(path, 0o666)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "boot", "volume-db.json")
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), make(path)); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			open := func(boot string) error {
				_, err := csi.OpenRecords(dir, boot, slog.New(slog.NewTextHandler(&log, nil)))
				return err
			}
			if err := errors.Join(open("boot"), open("boot")); err != nil {
				t.Fatal(err)
			}
			aside := filepath.Join(dir, "boot.aside", "volume-db.json")
			if _, err := os.Lstat(aside); err != nil || strings.Count(log.String(), aside) != 1 {
				t.Errorf("it is not at %s, or the log does not say so once: %v, %s", aside, err, log.String())
			}
			// After a reboot it says nothing any more.
			if err := open("next boot"); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("what the earlier boot left is still there: %v, %v", left, err)
			}
		})
	}
}

func TestRecordsOfAnyVolumeAreFiles(t *testing.T) {
	p := newPlugin(t)
	for _, volume := range []string{".", "..", "x.new", strings.Repeat("ü", 200), "a b%c"} {
		staging := filepath.Join(p.dir, "staging")
		request := &spec.NodeStageVolumeRequest{VolumeId: volume, StagingTargetPath: staging, VolumeCapability: writer}
		p.v.keepAway(volume, "-")
		p.stop()
		p.limit = time.Millisecond
		p.start()
		_, err := p.node.NodeStageVolume(p.ctx(), request)
		wantRefused(t, err, codes.Aborted, "-")
		p.restart()
		if left, err := os.ReadDir(filepath.Join(p.dir, "records", p.boot)); err != nil || len(left) != 1 {
			t.Errorf("%q: records are %v, %v", volume, left, err)
		}
		if _, err := p.node.NodeUnstageVolume(p.ctx(), &spec.NodeUnstageVolumeRequest{VolumeId: volume, StagingTargetPath: staging}); err != nil {
			t.Error(err)
		}
	}
}
