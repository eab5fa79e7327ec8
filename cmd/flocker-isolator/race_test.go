package main_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// racer exchanges two names in a directory as fast as it can, as another task
// of the same user does.
type racer struct {
	dir, a, b string
}

func (r racer) run(ctx context.Context) error {
	runtime.LockOSThread() // and ends with the thread, whose user changes
	for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
		if _, _, errno := syscall.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
			return errno
		}
	}
	for ctx.Err() == nil {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(r.dir, r.a), unix.AT_FDCWD, filepath.Join(r.dir, r.b), unix.RENAME_EXCHANGE)
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// Whoever wins the race, a volume is in the sandbox or nowhere.
func TestNoRaceBringsAMountOutOfTheSandbox(t *testing.T) {
	cases := map[string]struct {
		path, fetch string
		races       []racer
	}{
		"the target and a link to the host": {"data", "mkdir data; ln -s /etc link", []racer{{"", "data", "link"}}},
		"a parent and a link to the host":   {"a/b/c", "mkdir -p a/b; ln -s /etc a/link", []racer{{"a", "b", "link"}}},
		"a parent and a link upwards":       {"a/etc/c", "mkdir -p a/etc; ln -s ../../../../../../../.. link", []racer{{"", "a", "link"}}},
		"two directories":                   {"a/b", "mkdir -p a/b x/b", []racer{{"", "a", "x"}}},
		"a directory and its grandchild's link": {"a/b/c", "mkdir -p a/b; ln -s ../.. a/b/c; ln -s /etc x; ln -s ../../../../../../../../etc y",
			[]racer{{"", "a", "x"}, {"a/b", "c", "../../y"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			shown, refused := 0, 0
			for range 15 {
				tt := hostile{labels: []string{"data", c.path}, fetch: c.fetch}
				made := tt.prepare(t)
				ctx, stop := context.WithCancel(t.Context())
				var racing sync.WaitGroup
				for _, r := range c.races {
					r.dir = filepath.Join(made.sandbox, r.dir)
					racing.Go(func() {
						if err := r.run(ctx); err != nil && ctx.Err() == nil {
							t.Errorf("race: %v", err)
						}
					})
				}
				// Mount points are as they were when the mount was made: what is
				// renamed later takes its mount along.
				stdout, stderr, err := launch(t, made, "slave", "cat /proc/self/mountinfo; ls -d /etc/MARK /MARK 2>/dev/null || true")
				stop()
				racing.Wait()
				switch {
				case err == nil:
					shown++
				case strings.Contains(stderr, "flocker: the task can't start: "):
					refused++
				default:
					t.Fatalf("got %q, %v", stderr, err)
				}
				checkMounts(t, stdout)
			}
			t.Logf("%d times the volume was mounted, %d times refused", shown, refused)
		})
	}
}

// checkMounts fails where a volume lies outside of the sandbox, in the
// directories of the host that the links lead to.
func checkMounts(t *testing.T, mounts string) {
	t.Helper()
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			t.Errorf("a volume is at %s", line)
		} else if strings.Contains(line, " - tmpfs tmpfs ") && strings.HasPrefix(fields[4], "/etc") {
			t.Errorf("a volume is mounted at %s", fields[4])
		}
	}
	if _, err := os.Stat("/etc/c"); err == nil {
		t.Error("a directory was made in /etc")
	}
}
