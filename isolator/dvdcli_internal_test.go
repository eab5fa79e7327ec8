package isolator

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

func TestParseDVDCLI(t *testing.T) {
	tests := []struct {
		args []string
		want dvdcliCall
		err  string
	}{
		{[]string{"mount", "--volumedriver=flocker", "--volumename=db", "--volumeopts=size=1G", "--volumeopts=a=b=c,d"},
			dvdcliCall{command: "mount", driver: "flocker", volume: "db", options: []string{"size=1G", "a=b=c,d"}}, ""},
		{[]string{"--volumedriver", "flocker", "unmount", "--volumename", "db"},
			dvdcliCall{command: "unmount", driver: "flocker", volume: "db"}, ""},
		{[]string{"mount", "--volumedriver=flocker", "--volumename=a=b", "--explicitcreate"},
			dvdcliCall{command: "mount", driver: "flocker", volume: "a=b", explicitCreate: true}, ""},
		{[]string{"list", "--volumedriver=flocker", "--explicitcreate=false"}, dvdcliCall{command: "list", driver: "flocker"}, ""},
		{[]string{"version"}, dvdcliCall{command: "version"}, ""},
		{nil, dvdcliCall{}, "usage"},
		{[]string{"mount"}, dvdcliCall{}, "--volumedriver is missing"},
		{[]string{"mount", "--volumedriver=flocker"}, dvdcliCall{}, "--volumename is missing"},
		{[]string{"eat", "--volumedriver=flocker"}, dvdcliCall{}, `unknown command "eat"`},
		{[]string{"mount", "twice"}, dvdcliCall{}, `unexpected argument "twice"`},
		{[]string{"-v"}, dvdcliCall{}, `unexpected argument "-v"`},
		{[]string{"mount", "--loglevel=debug"}, dvdcliCall{}, "unknown flag --loglevel"},
		{[]string{"mount", "--volumename"}, dvdcliCall{}, "--volumename needs a value"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got, err := parseDVDCLI(tt.args)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %+v, %v, want %s", got, err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// dvdcli runs a command line against an agent.
func dvdcli(t *testing.T, socket string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	d := DVDCLI{
		Client: &Client{Socket: socket}, Program: "/opt/flocker-isolator", Version: "1.2.3", Stdout: &out, Stderr: &errs,
		limit: 3 * time.Second, patience: 500 * time.Millisecond,
	}
	exit = d.Run(t.Context(), args)
	return exit, out.String(), errs.String()
}

var flockerDB = []string{"--volumedriver=flocker", "--volumename=db"}

func TestDVDCLISpeaksWithTheAgent(t *testing.T) {
	root := t.TempDir()
	volumes := agenttest.Volumes(t, root, func() bool { return false })
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		if req.Status != nil {
			conn.Send(api.LocalReply{Done: true, Status: &api.AgentStatus{Mounts: []api.Mount{{Name: "db", Source: "/flocker/1"}}}})
			return
		}
		volumes(req, conn)
	})
	steps := []struct {
		args   []string
		exit   int
		stdout string
		stderr string
	}{
		{append([]string{"path"}, flockerDB...), 1, "", "dvdcli: no consumer dvdcli:db\n"},
		{append([]string{"mount", "--volumeopts=size=5", "--volumeopts=iops=9"}, flockerDB...), 0, root + "/db\n",
			"dvdcli: --volumeopts: iops has no effect: the profile decides the speed of a volume\n"},
		{append([]string{"mount", "--volumeopts=grace=72h", "--volumeopts=reclaim=delete"}, flockerDB...), 0, root + "/db\n", ""},
		{append([]string{"mount"}, flockerDB...), 0, root + "/db\n", ""},
		{append([]string{"path"}, flockerDB...), 0, root + "/db\n", ""},
		{append([]string{"get"}, flockerDB...), 0, "db " + root + "/db\n", ""},
		{[]string{"list", "--volumedriver=flocker"}, 0, "db /flocker/1\n", ""},
		{append([]string{"unmount"}, flockerDB...), 0, "", ""},
		{append([]string{"unmount"}, flockerDB...), 0, "", ""},
		{append([]string{"create", "--volumeopts=size=5"}, flockerDB...), 0, "", ""},
		{append([]string{"remove"}, flockerDB...), 1, "", "dvdcli: volume db is not removed: dvdcli never deletes data; \"flocker volumes destroy db\" does\n"},
		{append([]string{"mount", "--volumeopts=sise=5"}, flockerDB...), 1, "", "dvdcli: --volumeopts: option \"sise\" is not known: did you mean size?\n"},
		{append([]string{"mount", "--explicitcreate"}, flockerDB...), 1, "", "dvdcli: --explicitcreate is not possible: volume db is created when it is first mounted\n"},
		{[]string{"version"}, 0, "flocker dvdcli 1.2.3\n", ""},
	}
	for _, s := range steps {
		exit, stdout, stderr := dvdcli(t, agent.Socket, s.args...)
		if exit != s.exit || stdout != s.stdout || stderr != s.stderr {
			t.Errorf("%v: got %d, %q, %q", s.args, exit, stdout, stderr)
		}
	}
	last := agent.Requests()
	if got := last[len(last)-1]; got.Release == nil || got.Release.Consumer != "dvdcli-create:db" {
		t.Errorf("create: got %+v, want its consumer released", got)
	}
}

func TestDVDCLIMountWaitsLongerThanTheAgentDoes(t *testing.T) {
	root := t.TempDir()
	var awaited atomic.Int32
	volumes := agenttest.Volumes(t, root, func() bool { return false })
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		if req.Await != nil && awaited.Add(1) == 1 {
			conn.Send(api.LocalReply{Progress: "held by node-2"})
			conn.Send(api.LocalReply{Done: true, Error: api.Errorf(api.CodeUnavailable, "still held by node-2")})
			return
		}
		volumes(req, conn)
	})
	exit, stdout, stderr := dvdcli(t, agent.Socket, append([]string{"mount"}, flockerDB...)...)
	if exit != 0 || stdout != root+"/db\n" || !strings.Contains(stderr, "held by node-2") {
		t.Errorf("got %d, %q, %q", exit, stdout, stderr)
	}
}

func TestDVDCLIFails(t *testing.T) {
	fails := func(handle agenttest.Handler, want string, args ...string) func(*testing.T) {
		return func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "no.sock")
			if handle != nil {
				socket = agenttest.Start(t, handle).Socket
			}
			exit, stdout, stderr := dvdcli(t, socket, append(args, flockerDB...)...)
			if exit != 1 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") == 0 {
				t.Errorf("got %d, %q, %q, want %s", exit, stdout, stderr, want)
			}
		}
	}
	refuse := func(code api.Code) agenttest.Handler {
		return func(req api.LocalRequest, conn *agenttest.Conn) {
			reply := api.LocalReply{Done: true}
			if req.Await != nil {
				reply.Error = api.Errorf(code, "node-2 has it")
			}
			conn.Send(reply)
		}
	}
	t.Run("mount, agent down", fails(nil, "does not answer", "mount"))
	t.Run("unmount, agent down", fails(nil, "does not answer", "unmount"))
	t.Run("path, agent down", fails(nil, "does not answer", "path"))
	t.Run("list, agent down", fails(nil, "does not answer", "list"))
	t.Run("mount, agent refuses", fails(refuse(api.CodeConflict), "volume db: node-2 has it", "mount"))
	t.Run("mount, too late", fails(refuse(api.CodeUnavailable), "node-2 has it", "mount"))
	t.Run("mount, wrong answer", fails(func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Done: true})
	}, "without a mount for volume db", "mount"))
	t.Run("path, not yet", fails(func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Progress: "attaching"})
		<-conn.Closed
	}, "volume db is not mounted yet: attaching", "path"))
	t.Run("mount, not seen here", fails(func(_ api.LocalRequest, conn *agenttest.Conn) {
		conn.Send(api.LocalReply{Done: true, Mounts: []api.Mount{{Key: "dvdcli", Name: "db", Source: "/tmp", Ready: true, Device: 1 << 40}}})
	}, "the Mesos agent does not see it", "mount"))
}

func TestDVDCLIRunsTheRealOneForOtherDrivers(t *testing.T) {
	args := []string{"mount", "--volumedriver=rexray", "--volumename=db"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "dvdcli")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, real, want string }{
		{"real one", "/usr/bin/dvdcli", "run /usr/bin/dvdcli for volume driver \"rexray\": stop here"},
		{"none", "", "FLOCKER_DVDCLI=/path/of/dvdcli"},
		{"itself", link, "is this program itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			d := DVDCLI{Program: self, Real: tt.real, Stderr: &stderr, Exec: func(path string, argv, env []string) error {
				if want := append([]string{"dvdcli"}, args...); path != tt.real || !reflect.DeepEqual(argv, want) || len(env) == 0 {
					t.Errorf("got %s %v", path, argv)
				}
				return errors.New("stop here")
			}}
			if exit := d.Run(t.Context(), args); exit != 1 || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("got %d, %q", exit, stderr.String())
			}
		})
	}
}
