package isolator_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

// container makes a sandbox and, if image, a rootfs.
func container(t testing.TB, image bool) *isolator.Config {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &isolator.Config{Directory: filepath.Join(dir, "sandbox")}
	mkdir(t, c.Directory)
	if image {
		c.Rootfs = filepath.Join(dir, "rootfs")
		mkdir(t, c.Rootfs)
	}
	return c
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, target, path string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func at(path string) api.VolumeRequest {
	return api.VolumeRequest{Key: "k" + path, Name: "volume at " + path, Path: path}
}

func TestPlaceKeepsWhatTheLabelsSay(t *testing.T) {
	volumes := []api.VolumeRequest{{Key: "a", Path: "data"}, {Key: "b", Path: "/var/lib/db", ReadOnly: true}}
	want := []isolator.Target{{Key: "a", Path: "data"}, {Key: "b", Path: "/var/lib/db", ReadOnly: true}}
	got, err := isolator.Place(&isolator.Config{Directory: "/s"}, api.SandboxPath, volumes)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestPlaceRefuses(t *testing.T) {
	tests := []struct {
		name  string
		image bool
		paths []string
		want  string
	}{
		{"relative and absolute at one place", false, []string{"data", "/data"}, "mounted over each other"},
		{"one inside another", false, []string{"/data", "data/x"}, "mounted over each other"},
		{"one inside another in an image", true, []string{"/mnt/mesos/sandbox/data", "data/x"}, "mounted over each other"},
		{"the sandbox", true, []string{"/mnt/mesos/sandbox"}, "it would hide the sandbox"},
		{"above the sandbox", true, []string{"/mnt"}, "it would hide the sandbox"},
		{"the task's output", false, []string{"stdout"}, "find path stdout of volume"},
		{"below the task's output", false, []string{"stderr/x"}, "stderr in the sandbox is the file"},
		{"the task's output by an absolute path", false, []string{"/stdout"}, "stdout in the sandbox is the file"},
		{"the task's output in an image", true, []string{"stdout/x"}, "stdout in the sandbox is the file"},
		{"the task's output by its path in an image", true, []string{"/mnt/mesos/sandbox/stderr"}, "stderr in the sandbox is the file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &isolator.Config{Directory: "/s"}
			if tt.image {
				c.Rootfs = "/r"
			}
			var volumes []api.VolumeRequest
			for _, p := range tt.paths {
				volumes = append(volumes, at(p))
			}
			got, err := isolator.Place(c, api.SandboxPath, volumes)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %q", got, err, tt.want)
			}
		})
	}
	for path, image := range map[string]bool{"stdout.d": false, "data/stdout": false, "/stdout": true} {
		c := &isolator.Config{Directory: "/s"}
		if image {
			c.Rootfs = "/r"
		}
		if _, err := isolator.Place(c, api.SandboxPath, []api.VolumeRequest{at(path)}); err != nil {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := isolator.Place(&isolator.Config{}, api.SandboxPath, nil); err == nil {
		t.Error("a container without a sandbox was accepted")
	}
}

// The links of an operator are followed, those of a task are not.
func TestFindDirectory(t *testing.T) {
	top := t.TempDir() // of root, in a directory for all
	plain := filepath.Join(top, "real")
	mkdir(t, plain+"/runs/c1")
	symlink(t, "real", filepath.Join(top, "work"))
	nobody := filepath.Join(top, "sandbox")
	mkdir(t, nobody+"/containers/c2")
	if err := os.Chown(nobody+"/containers", 65534, 65534); err != nil {
		t.Fatal(err)
	}
	symlink(t, plain, nobody+"/containers/c3")
	symlink(t, "../..", filepath.Join(nobody, "up"))
	tests := []struct {
		name, path, want string
	}{
		{"a plain path", plain + "/runs/c1", ""},
		{"a nested sandbox", nobody + "/containers/c2", ""},
		{"a link in the place of a nested sandbox", nobody + "/containers/c3", "a symbolic link that other users than root can change"},
		{"a link in the middle", nobody + "/containers/c3/runs", "a symbolic link that other users than root can change"},
		{"missing", plain + "/runs/c9", "no such file"},
		{"a file", "/etc/passwd", "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := isolator.FindDirectory(tt.path)
			if tt.want == "" {
				info, statErr := os.Stat(tt.path)
				if err != nil || statErr != nil || got.Inode != info.Sys().(*syscall.Stat_t).Ino || got.Path != tt.path {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestFindDirectoryFollowsAnOperatorsLink(t *testing.T) {
	top, err := os.MkdirTemp("/root", "flocker") // a path that is root's all the way
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	mkdir(t, top+"/real/runs")
	symlink(t, "real", top+"/work")
	want, err1 := isolator.FindDirectory(top + "/real/runs")
	got, err2 := isolator.FindDirectory(top + "/work/runs")
	if err1 != nil || err2 != nil || got.Inode != want.Inode {
		t.Errorf("got %+v, %v, want %+v, %v", got, err2, want, err1)
	}
}

// FuzzInput states that no input crashes the program, and that what is accepted
// keeps to the rules.
func FuzzInput(f *testing.F) {
	recordings, err := filepath.Glob("testdata/mesos/*/*.json")
	if err != nil || len(recordings) == 0 {
		f.Fatal(recordings, err)
	}
	for _, path := range recordings {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := isolator.ParseInput(data)
		if err != nil {
			return
		}
		if id := in.ContainerID.String(); id == "" || strings.ContainsAny(id, "/\n") {
			t.Errorf("got id %q", id)
		}
		demand, err := in.Demand()
		if err != nil || in.Config.Directory == "" {
			return
		}
		targets, err := isolator.Place(&in.Config, api.SandboxPath, demand.Volumes)
		if err != nil {
			return
		}
		mounts := make([]api.Mount, 0, len(targets))
		for _, target := range targets {
			mounts = append(mounts, api.Mount{Key: target.Key})
			if got, err := isolator.ParseTarget(target.String()); err != nil || got != target {
				t.Errorf("target %+v is read as %+v, %v", target, got, err)
			}
		}
		info, err := isolator.Plan(isolator.Space{}, targets, mounts, isolator.Waiting{})
		if err != nil {
			t.Error(err)
		}
		if text, err := info.Encode(); err != nil || bytes.Contains(text, []byte(`"command"`)) {
			t.Errorf("got %s, %v", text, err)
		}
	})
}
