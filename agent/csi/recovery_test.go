package csi_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

// wantPlaceholder expects that no container can have what is at the target.
func (p *plugin) wantPlaceholder(volume string) {
	p.t.Helper()
	_, target := p.paths(volume)
	if err := unix.Mount(target, p.t.TempDir(), "", unix.MS_BIND|unix.MS_REC, ""); !errors.Is(err, unix.ENOENT) {
		p.t.Errorf("a container got the placeholder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(target, "row"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		p.t.Errorf("wrote below the placeholder: %v", err)
	}
	if err := os.WriteFile(target, nil, 0o600); err == nil {
		p.t.Error("wrote into the placeholder")
	}
	if err := os.MkdirAll(target, 0o755); err == nil {
		p.t.Error("made the placeholder a directory")
	}
}

// Mesos takes up after a restart of the machine what it has published, whoever has
// the volume now.
func TestRecoveryAfterARebootIsAnsweredWithoutTheVolume(t *testing.T) {
	for name, calls := range map[string]string{
		"as recorded":                       "stage publish",
		"Mesos is started again in between": "stage stage publish",
		"the agent is":                      "stage restart publish restart",
		"Mesos after publishing":            "stage publish publish",
		"Mesos while it unpublishes":        "stage publish unpublish publish",
		"the machine once more":             "stage reboot stage publish reboot stage publish",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlugin(t)
			_, target := p.paths("db")
			p.calls("db", "stage publish")
			p.reboot()
			p.v.keepAway("db", "Dataset db is mounted on node2")
			p.calls("db", calls)
			p.wantPlaceholder("db")
			if p.v.used() != "" {
				t.Error("it asked for the volume")
			}
			p.calls("db", "unpublish unstage")
			if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the target path is still there: %v", err)
			}
			// A container after that is like any other.
			p.v.keepAway("db", "")
			p.calls("db", "stage publish")
			if !p.hasVolume("db") {
				t.Error("the container has no volume")
			}
			p.calls("db", "unpublish unstage")
		})
	}
}

// A container can come while Mesos has the placeholder published, and is not given it.
func TestContainerBesideAPlaceholderHasTheVolume(t *testing.T) {
	p := newPlugin(t)
	p.calls("db", "stage publish reboot stage publish")
	p.wantPlaceholder("db")
	p.stop()
	p.limit = 50 * time.Millisecond
	p.start()
	p.v.keepAway("db", "Dataset db is mounted on node2")
	wantRefused(t, p.stage("db"), codes.Aborted, "Dataset db is mounted on node2")
	p.calls("db", "unstage") // as Mesos does then
	p.wantPlaceholder("db")
	p.v.keepAway("db", "")
	p.calls("db", "stage publish")
	if !p.hasVolume("db") {
		t.Error("the container has no volume")
	}
	p.calls("db", "unpublish unstage")
}

// Where Mesos has forgotten what we remember, the first launch finds a placeholder.
func TestWrongGuessCostsOneLaunch(t *testing.T) {
	p := newPlugin(t)
	p.calls("db", "stage publish reboot stage publish")
	p.wantPlaceholder("db")
	p.calls("db", "unpublish unstage stage publish")
	if !p.hasVolume("db") {
		t.Error("the next container has no volume")
	}
	p.calls("db", "unpublish unstage")
}

func TestOnlyWhatWasPublishedIsRecovered(t *testing.T) {
	for name, before := range map[string]string{
		"never here":        "",
		"was unpublished":   "stage publish unpublish",
		"was never mounted": "stage",
		"was given back":    "stage publish unpublish unstage",
		"unpublished later": "stage publish reboot unpublish",
		"given back later":  "stage publish reboot unpublish unstage",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlugin(t)
			p.calls("db", before)
			p.reboot()
			p.calls("db", "stage publish")
			if !p.hasVolume("db") {
				t.Error("a container has no volume")
			}
			p.calls("db", "unpublish unstage")
		})
	}
}

// Kubernetes stages after a restart what its pods will use, under the same paths.
func TestOthersThanMesosGetTheVolumeAfterAReboot(t *testing.T) {
	p := newPlugin(t)
	staging, target := filepath.Join(p.dir, "globalmount"), filepath.Join(p.dir, "mount")
	both := func() {
		t.Helper()
		_, err := p.node.NodeStageVolume(p.ctx(), &spec.NodeStageVolumeRequest{VolumeId: "db", StagingTargetPath: staging, VolumeCapability: writer})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.node.NodePublishVolume(p.ctx(), &spec.NodePublishVolumeRequest{
			VolumeId: "db", StagingTargetPath: staging, TargetPath: target, VolumeCapability: writer,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	both()
	p.reboot()
	both()
	if p.v.used() != "db" {
		t.Errorf("in use are %q", p.v.used())
	}
	if err := os.WriteFile(filepath.Join(target, "row"), nil, 0o600); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.v.source("db"), "row")); err != nil {
		t.Error(err)
	}
}
