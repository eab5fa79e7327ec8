package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/agent/local"
	"github.com/flocker-mesos/flocker/api"
)

// serveTrees runs a server whose clones are files with the source's name in
// them.
func serveTrees(t *testing.T, mounts []api.Mount, clone func(string, uint64) (*os.File, error)) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := local.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := &local.Server{
		Volumes: &scripted{await: func(_ context.Context, progress func(string)) ([]api.Mount, error) {
			progress("soon")
			return mounts, nil
		}},
		Clone: clone, MountRoot: "/flocker", Log: slog.New(slog.DiscardHandler),
	}
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended: %v", err)
		}
	})
	return socket
}

// fileOf clones a mount as a file.
func fileOf(t *testing.T) func(string, uint64) (*os.File, error) {
	dir := t.TempDir()
	return func(source string, _ uint64) (*os.File, error) {
		path := filepath.Join(dir, filepath.Base(source))
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			return nil, err
		}
		return os.Open(path)
	}
}

// awaitTrees returns the last reply and what is in the files that come with it.
func awaitTrees(t *testing.T, conn net.Conn) (api.LocalReply, []string) {
	t.Helper()
	c := conn.(*net.UnixConn)
	if _, err := c.Write([]byte(`{"await":{"consumer":"c1","trees":true}}` + "\n")); err != nil {
		t.Fatal(err)
	}
	var text, oob []byte
	for {
		data, rights := make([]byte, 1<<20), make([]byte, 4096)
		n, oobn, _, _, err := c.ReadMsgUnix(data, rights)
		text, oob = append(text, data[:n]...), append(oob, rights[:oobn]...)
		if err != nil || n == 0 {
			break
		}
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var last api.LocalReply
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	var contents []string
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "tree")
			data := make([]byte, 100)
			n, _ := f.Read(data)
			contents = append(contents, string(data[:n]))
			_ = f.Close()
		}
	}
	return last, contents
}

func TestVolumesAreHandedOverInTheirOrder(t *testing.T) {
	mounts := []api.Mount{{Key: "b", Source: "/flocker/2", Ready: true}, {Key: "a", Source: "/flocker/1", Ready: true}}
	socket := serveTrees(t, mounts, fileOf(t))
	last, files := awaitTrees(t, dial(t, socket))
	if !last.Done || last.Error != nil || last.MountRoot != "/flocker" || len(last.Mounts) != 2 || strings.Join(files, " ") != "/flocker/2 /flocker/1" {
		t.Errorf("got %+v with %q", last, files)
	}
	// An Await without trees gets none.
	if got := ask(t, socket, `{"await":{"consumer":"c1"}}`+"\n"); len(got) != 2 || got[1].MountRoot != "" || len(got[1].Mounts) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestLongAnswersComeWithTheirVolumes(t *testing.T) {
	var mounts []api.Mount
	for range 200 {
		mounts = append(mounts, api.Mount{Key: "k", Name: strings.Repeat("n", 3000), Source: "/flocker/1", Ready: true})
	}
	last, files := awaitTrees(t, dial(t, serveTrees(t, mounts, fileOf(t))))
	if len(last.Mounts) != 200 || len(files) != 200 {
		t.Errorf("got %d mounts and %d files", len(last.Mounts), len(files))
	}
}

func TestVolumesAreNotHandedOver(t *testing.T) {
	mounts := []api.Mount{{Key: "a", Name: "db", Source: "/flocker/1", Ready: true}, {Key: "b", Source: "/flocker/2", Ready: true}}
	many := make([]api.Mount, 254)
	broken := func(source string, device uint64) (*os.File, error) {
		if source == "/flocker/2" {
			return nil, errors.New("it is gone")
		}
		return fileOf(t)(source, device)
	}
	cases := map[string]struct {
		mounts []api.Mount
		clone  func(string, uint64) (*os.File, error)
		user   int
		code   api.Code
		want   string
	}{
		"to another user than root":             {mounts, fileOf(t), 65534, api.CodeForbidden, "to root alone, not to user 65534"},
		"when one of them is unmounted by then": {mounts, broken, 0, api.CodeUnavailable, "is not mounted any more: it is gone"},
		"when there are too many":               {many, fileOf(t), 0, api.CodeInvalid, "254 volumes are more than"},
		"by an agent that cannot":               {mounts, nil, 0, api.CodeInvalid, "hands no volumes over"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			socket := serveTrees(t, c.mounts, c.clone)
			last, files := awaitTrees(t, dialAs(t, socket, c.user))
			if last.Error == nil || last.Error.Code != c.code || !strings.Contains(last.Error.Error(), c.want) || len(files) > 0 || last.Mounts != nil {
				t.Errorf("got %+v with %q", last, files)
			}
		})
	}
}

// dialAs connects as a user. The socket is opened to all, as an operator could.
func dialAs(t *testing.T, socket string, user int) net.Conn {
	t.Helper()
	if user == 0 {
		return dial(t, socket)
	}
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	connected := make(chan net.Conn)
	go func() {
		runtime.LockOSThread() // and ends with the thread, whose user changes
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user))
		conn, err := net.Dial("unix", socket)
		if err != nil || errno != 0 {
			t.Error(err, errno)
		}
		connected <- conn
	}()
	conn := <-connected
	if conn == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
