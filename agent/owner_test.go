package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent/agenttest"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// The control service refuses what no machine can format.
var _ = [1]struct{}{}[api.MinXFSSize-host.MinXFSSize]

// ownerOf returns owner and mode of a directory as in "1000:1000 0755".
func ownerOf(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d %04o", st.Uid, st.Gid, st.Mode&0o7777)
}

// acquireAs acquires a volume for a container that runs as a user, and waits for it.
func (n *node) acquireAs(consumer, user string, kind string, v api.VolumeRequest) api.Mount {
	n.t.Helper()
	req := request(consumer, v)
	req.User, req.Kind = user, kind
	if _, err := n.agent.Volumes().Acquire(n.t.Context(), req); err != nil {
		n.t.Fatal(err)
	}
	mounts, err := n.agent.Volumes().Await(n.t.Context(), consumer, func(string) {})
	if err != nil {
		n.t.Fatal(err)
	}
	return mounts[0]
}

func TestFreshVolumeBelongsToItsUser(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.start()
	for i, test := range []struct {
		name, user, kind string
		request          api.VolumeRequest // beside the name
		record           api.Dataset       // of a dataset that was created before
		want             string
	}{
		{name: "the task's user", user: "nobody", want: "65534:65534 0755"},
		{name: "root", user: "root", want: "0:0 0755"},
		{name: "no user", want: "0:0 0777"},
		{name: "a user that the machine does not know", user: "no-such-user", want: "0:0 0777"},
		{name: "a number", user: "1234", want: "1234:1234 0755"},
		{name: "the label's owner", user: "nobody", request: api.VolumeRequest{User: "1000:50"}, want: "1000:50 0755"},
		{name: "the label's permissions", user: "nobody", request: api.VolumeRequest{Permissions: "0700"}, want: "65534:65534 0700"},
		{name: "both, by dvdcli", kind: api.ConsumerDVDCLI, request: api.VolumeRequest{User: "5:6", Permissions: "0750"}, want: "5:6 0750"},
		{name: "permissions without a user", request: api.VolumeRequest{Permissions: "0770"}, want: "0:0 0770"},
		{name: "the record's owner, made for another", user: "nobody", record: api.Dataset{User: "7:8", Permissions: "0711"}, want: "7:8 0711"},
		{name: "the record's user by name", record: api.Dataset{User: "nobody"}, want: "65534:65534 0755"},
		{name: "the first user of a dataset without one", user: "nobody", record: api.Dataset{Permissions: "0700"}, want: "65534:65534 0700"},
		{name: "xfs", user: "nobody", request: api.VolumeRequest{FS: api.FSXFS, Size: 320 << 20, Permissions: "0750"}, want: "65534:65534 0750"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := test.request
			v.Key, v.Name, v.Size = "data", fmt.Sprintf("db%d", i), max(v.Size, 64<<20)
			if test.record.User+test.record.Permissions != "" {
				id := s.control.Make(v.Name)
				s.control.Change(id, func(d *api.Dataset) { d.User, d.Permissions = test.record.User, test.record.Permissions })
			}
			kind := test.kind
			if kind == "" {
				kind = api.ConsumerMesos
			}
			m := n.acquireAs(v.Name, test.user, kind, v)
			if got := ownerOf(t, m.Source); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if names, err := os.ReadDir(m.Source); err != nil || len(names) > 0 {
				t.Errorf("the volume holds %v, %v, want nothing", names, err)
			}
		})
	}
}

// TestWhatAUserMakesOfTheRootStays moves volumes whose root a user has changed.
func TestWhatAUserMakesOfTheRootStays(t *testing.T) {
	s := newSAN(t)
	a, b := s.node("node-a"), s.node("node-b")
	a.start()
	b.start()
	for i, change := range []func(root string) error{
		func(root string) error { return os.Chmod(root, 0o755) },
		func(root string) error { return os.Chown(root, 0, 1000) },
		func(root string) error { return unix.Chmod(root, 0o2770) },
	} {
		name := fmt.Sprintf("db%d", i)
		m := a.use("c", volume(name))[0]
		if err := change(m.Source); err != nil {
			t.Fatal(err)
		}
		want := ownerOf(t, m.Source)
		a.stop()
		a.start()
		a.release("c")
		s.released(s.control.Dataset(name).ID)
		if got := ownerOf(t, b.use("c", volume(name))[0].Source); got != want {
			t.Errorf("on another node: got %s, want %s", got, want)
		}
		b.release("c")
		s.released(s.control.Dataset(name).ID)
		if got := ownerOf(t, a.acquireAs("c", "nobody", api.ConsumerMesos, volume(name)).Source); got != want {
			t.Errorf("back again, for another user: got %s, want %s", got, want)
		}
		a.release("c")
		s.released(s.control.Dataset(name).ID)
	}
}

// restrictions returns "nosuid", "nodev", both or neither, as a mount has them.
func restrictions(t *testing.T, target string) string {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		t.Fatal(err)
	}
	var all []string
	if fs.Flags&unix.ST_NOSUID != 0 {
		all = append(all, "nosuid")
	}
	if fs.Flags&unix.ST_NODEV != 0 {
		all = append(all, "nodev")
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		all = append(all, "ro")
	}
	return strings.Join(all, ",")
}

func TestOptionsLiftRestrictionsForThoseWhoAsk(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.config.AllowOptions = []string{"dev", "suid"}
	n.start()
	want := func(when string, mounts map[string]api.Mount) {
		t.Helper()
		for restricted, m := range mounts {
			if got := restrictions(t, m.Source); got != restricted {
				t.Errorf("%s: %s: got %q, want %q", when, m.Source, got, restricted)
			}
		}
	}
	asking := func(options string, readOnly bool, each int) api.VolumeRequest {
		v := volume("db")
		if v.Options, v.ReadOnly, v.Each = options, readOnly, each; each != 0 {
			v.Name = "set"
		}
		return v
	}
	mounts := map[string]api.Mount{
		"nosuid,nodev":    n.use("plain", asking("", false, 0))[0],
		"nosuid,nodev,ro": n.use("reads", asking("", true, 0))[0],
		"nodev":           n.use("suid", asking("suid", false, 0))[0],
		"nosuid,ro":       n.use("dev", asking("dev", true, 0))[0],
		"":                n.use("both", asking("dev,suid", false, 0))[0],
		"nosuid":          n.use("member", asking("dev", false, 1))[0],
	}
	want("new", mounts)
	write(t, filepath.Join(mounts[""].Source, "row"), "hello")
	if got := read(t, filepath.Join(mounts["nosuid,ro"].Source, "row")); got != "hello" {
		t.Errorf("read by another view: got %q", got)
	}
	n.stop()
	// What an agent of before mounted has no restrictions.
	for _, target := range []string{mounts["nosuid,nodev"].Source, mounts["nosuid,nodev,ro"].Source, mounts["nodev"].Source} {
		if err := unix.MountSetattr(unix.AT_FDCWD, target, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}); err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	s.await("a restarted agent restricts what is mounted", func(*agenttest.Control) bool {
		for restricted, m := range mounts {
			if restrictions(t, m.Source) != restricted {
				return false
			}
		}
		return true
	})

	n.release("both")
	n.use("again", asking("dev", true, 0))
	n.hears()
	if got := restrictions(t, mounts["nosuid,ro"].Source); got != "nosuid,ro" {
		t.Errorf("a view that is still used: got %q", got)
	}
	s.await("the view that nobody uses goes", func(*agenttest.Control) bool {
		_, err := os.Stat(mounts[""].Source)
		return os.IsNotExist(err)
	})
}

func TestOptionsThatTheAgentDoesNotAllowAreRefused(t *testing.T) {
	s := newSAN(t)
	n := s.node("node-1")
	n.config.AllowOptions = []string{"dev"}
	n.start()
	for _, options := range []string{"suid", "dev,suid", "exec"} {
		v := volume("db")
		v.Options = options
		_, err := n.agent.Volumes().Acquire(t.Context(), request("c", v))
		if api.CodeOf(err) != api.CodeInvalid || !strings.Contains(err.Error(), "flocker.volume.data.options: ") || !strings.Contains(err.Error(), "allow-options of agent.yml") {
			t.Errorf("options %s: got %v, want a refusal with its remedy", options, err)
		}
	}
	if n.agent.Volumes().Consumers() != nil && len(n.agent.Volumes().Consumers()) > 0 {
		t.Errorf("consumers: got %v, want none", n.agent.Volumes().Consumers())
	}
	many := make([]api.VolumeRequest, api.MaxVolumes+1)
	if _, err := n.agent.Volumes().Acquire(t.Context(), request("c", many...)); api.CodeOf(err) != api.CodeInvalid {
		t.Errorf("%d volumes: got %v, want a refusal", len(many), err)
	}
}
