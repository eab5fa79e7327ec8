package isolator_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
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

func TestPlaceFollowsMesosAndTheContainersOwnView(t *testing.T) {
	tests := []struct {
		name  string
		image bool
		links map[string]string // paths, below sandbox/ or rootfs/, and what they lead to
		path  string
		want  string // below the container's directory
	}{
		{"no image, relative", false, nil, "db/data", "sandbox/db/data"},
		{"no image, absolute", false, nil, "/var/lib/db", "sandbox/var/lib/db"},
		{"image, absolute", true, nil, "/var/lib/db", "rootfs/var/lib/db"},
		{"image, relative", true, nil, "data", "rootfs/mnt/mesos/sandbox/data"},
		{"image, absolute in the sandbox", true, nil, "/mnt/mesos/sandbox/data", "rootfs/mnt/mesos/sandbox/data"},
		{"image with an absolute link", true, map[string]string{"rootfs/var/lib/db": "/srv/db"}, "/var/lib/db", "rootfs/srv/db"},
		{"image with a link upwards", true, map[string]string{"rootfs/data": "../../../../../../etc"}, "/data/x", "rootfs/etc/x"},
		{"image with a link to the host", true, map[string]string{"rootfs/data": "/proc/1/root/etc"}, "/data", "rootfs/proc/1/root/etc"},
		{"image whose /mnt is a link", true, map[string]string{"rootfs/mnt": "media"}, "data", "rootfs/media/mesos/sandbox/data"},
		{"link in the sandbox", false, map[string]string{"sandbox/db": "/etc"}, "db/data", "sandbox/etc/data"},
		{"link in the sandbox of an image", true, map[string]string{"sandbox/db": "../../.."}, "db/data", "rootfs/mnt/mesos/sandbox/data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := container(t, tt.image)
			dir := filepath.Dir(c.Directory)
			for path, target := range tt.links {
				symlink(t, target, filepath.Join(dir, path))
			}
			got, err := isolator.Place(c, api.SandboxPath, []api.VolumeRequest{at(tt.path)})
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(dir, tt.want); got[0].Target != want {
				t.Errorf("got %s, want %s", got[0].Target, want)
			}
		})
	}
}

func TestPlaceRefuses(t *testing.T) {
	tests := []struct {
		name  string
		image bool
		links map[string]string
		paths []string
		want  string
	}{
		{"relative and absolute at one place", false, nil, []string{"data", "/data"}, "mounted over each other"},
		{"one inside another", false, nil, []string{"/data", "data/x"}, "mounted over each other"},
		{"one inside another by a link", true, map[string]string{"rootfs/a": "b/c"}, []string{"/a", "/b"}, "mounted over each other"},
		{"a link to the root", true, map[string]string{"rootfs/data": "/"}, []string{"/data"}, "leads to the top"},
		{"a link to the sandbox", false, map[string]string{"sandbox/data": "."}, []string{"data"}, "leads to the top"},
		{"links in a circle", true, map[string]string{"rootfs/a": "b", "rootfs/b": "a"}, []string{"/a"}, "too many levels"},
		{"a link that no JSON can carry", true, map[string]string{"rootfs/a": "b\xff"}, []string{"/a"}, "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := container(t, tt.image)
			for path, target := range tt.links {
				symlink(t, target, filepath.Join(filepath.Dir(c.Directory), path))
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
	if _, err := isolator.Place(&isolator.Config{}, api.SandboxPath, nil); err == nil {
		t.Error("a container without a sandbox was accepted")
	}
}

func TestPlaceHeedsAnotherSandboxDirectory(t *testing.T) {
	c := container(t, true)
	got, err := isolator.Place(c, "/work/", []api.VolumeRequest{at("data")})
	if err != nil || got[0].Target != c.Rootfs+"/work/data" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzPlace states that no container config and no symbolic link makes a target
// outside the container's own directories.
func FuzzPlace(f *testing.F) {
	f.Add("/var/lib/db", "rootfs/var", "/etc", true)
	f.Add("data/x", "sandbox/data", "../../..", false)
	f.Add("data/x", "sandbox/data", "//..//../etc", true)
	f.Fuzz(func(t *testing.T, path, link, target string, image bool) {
		volumes, _, err := api.ParseVolumes("/app", []api.Label{{Key: "flocker.volume.a", Value: path}}, nil)
		if err != nil {
			return
		}
		c := container(t, image)
		dir := filepath.Dir(c.Directory)
		link = filepath.Join(dir, filepath.Clean("/"+link))
		if os.MkdirAll(filepath.Dir(link), 0o755) == nil && link != dir {
			_ = os.Symlink(target, link) // names the kernel refuses make no link
		}
		if info, err := os.Lstat(c.Directory); err != nil || !info.IsDir() {
			return
		}
		placements, err := isolator.Place(c, api.SandboxPath, volumes)
		if err != nil {
			return
		}
		root := c.Directory
		if image {
			root = c.Rootfs
		}
		if got := placements[0].Target; !strings.HasPrefix(got, root+"/") || filepath.Clean(got) != got {
			t.Errorf("got %q outside %s", got, root)
		}
	})
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
		// Only look: these directories may be anybody's.
		in.Config.Directory, in.Config.Rootfs = "/nowhere/sandbox", strings.Repeat("/nowhere/rootfs", min(1, len(in.Config.Rootfs)))
		placements, err := isolator.Place(&in.Config, api.SandboxPath, demand.Volumes)
		if err != nil {
			return
		}
		mounts := make([]api.Mount, 0, len(placements))
		for _, p := range placements {
			if !strings.HasPrefix(p.Target, "/nowhere/") {
				t.Errorf("got target %s", p.Target)
			}
			mounts = append(mounts, api.Mount{Key: p.Key, Source: "/flocker/x"})
		}
		info, err := isolator.Plan(placements, mounts, isolator.Waiting{})
		if err != nil {
			t.Error(err)
		}
		if text, err := info.Encode(); err != nil || bytes.Contains(text, []byte(`"command"`)) {
			t.Errorf("got %s, %v", text, err)
		}
	})
}
