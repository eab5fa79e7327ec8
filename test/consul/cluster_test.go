package consul_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/consul"
)

func put(ctx context.Context, address, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+address+"/v1/kv/"+key, strings.NewReader("value"))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func exists(t *testing.T, address, key string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/kv/"+key+"?consistent", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestClusterGoesOnWithoutItsLeader(t *testing.T) {
	c := consul.Start(t, 3)
	first := c.Leader()
	if err := put(t.Context(), c.Addresses()[first], "before"); err != nil {
		t.Fatal(err)
	}
	c.Kill(first)
	second := c.Leader()
	if second == first {
		t.Fatalf("server %d leads though it is dead", first)
	}
	c.Restart(first)
	c.Stop(second)
	third := c.Leader()
	if third == second {
		t.Fatalf("server %d leads though it is paused", second)
	}
	if !exists(t, c.Addresses()[third], "before") {
		t.Error("what was written is gone")
	}
	c.Cont(second)
}

func TestDataOutlivesAllServers(t *testing.T) {
	c := consul.Start(t, 1)
	if err := put(t.Context(), c.Addresses()[0], "key"); err != nil {
		t.Fatal(err)
	}
	c.Kill(0)
	c.Restart(0)
	c.Leader()
	if !exists(t, c.Addresses()[0], "key") {
		t.Error("what was written is gone")
	}
}

// TestServersDoNotOutliveAKilledTest runs another test of this program and
// kills it.
func TestServersDoNotOutliveAKilledTest(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHelperThatIsKilled$")
	cmd.Env = append(os.Environ(), "FLOCKER_TEST_HELPER="+dir, "TMPDIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	await(t, "the helper's server", func() bool { _, err := os.Stat(ready); return err == nil })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	await(t, "the server's end", func() bool { return len(processesIn(t, dir)) == 0 })
}

func TestHelperThatIsKilled(t *testing.T) {
	dir := os.Getenv("FLOCKER_TEST_HELPER")
	if dir == "" {
		t.Skip("it only helps another test")
	}
	consul.Start(t, 1)
	if len(processesIn(t, dir)) == 0 {
		t.Fatal("the server is not found by its arguments")
	}
	if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done()
}

// processesIn returns the processes, other than tests, that have a directory
// in their arguments.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range all {
		args, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(args), dir) && path != "/proc/"+strconv.Itoa(os.Getpid())+"/cmdline" {
			out = append(out, path)
		}
	}
	return out
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
