package lab_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/lab"
)

// makerOf names the variable that turns this test program into one that makes
// a lab, says where, and waits to be killed.
const makerOf = "LAB_TEST_MAKER"

func TestMain(m *testing.M) {
	if os.Getenv(makerOf) != "" {
		if err := makeAndWait(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func makeAndWait() error {
	ctx := context.Background()
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return err
	}
	h, err := l.Host(ctx, "node1")
	if err != nil {
		return err
	}
	_, err = h.Command(ctx, "sh", "-ec", `truncate -s 64M `+l.SAN+`/v
		device=$(losetup -f --show `+l.SAN+`/v); mkfs.ext4 -q $device; mount $device /mnt
		LAB_DIR=`+l.Dir+` setsid sleep 1000 >/dev/null 2>&1 &`).Output()
	if err != nil {
		return err
	}
	fmt.Println(l.Dir)
	select {}
}

func TestLabOfAKilledProgramLeavesNothing(t *testing.T) {
	t.Parallel()
	maker := exec.CommandContext(t.Context(), os.Args[0])
	maker.Env = append(os.Environ(), makerOf+"=1")
	maker.Stderr = os.Stderr
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = maker.Wait()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := lab.Until(ctx, "its processes are gone", func() error {
		files, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), "LAB_DIR="+dir) {
				return fmt.Errorf("%s lives", file)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// The next lab clears away what is left, once it is a minute old.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "owner"), old, old); err != nil {
		t.Fatal(err)
	}
	newLab(t, lab.Options{})
	if err := lab.Until(ctx, "its device and files are gone", func() error {
		if loops, err := lab.Loops(dir); err != nil || len(loops) > 0 {
			return fmt.Errorf("loop devices %v, %w", loops, err)
		}
		if _, err := os.Stat(dir); err == nil {
			return fmt.Errorf("%s exists", dir)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
