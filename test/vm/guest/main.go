// Command guest is the first program of the machines that test/vm boots, and
// what runs in them: the trials of crafted file systems, and the story that is
// played beside the real systemd. It writes its report to /dev/ttyS1.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// systemd takes the machine over where the initramfs has it.
const systemd = "/usr/lib/systemd/systemd"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		if os.Getpid() == 1 {
			powerOff()
		}
		os.Exit(1)
	}
}

func run() error {
	switch {
	case filepath.Base(os.Args[0]) == "guest-holder":
		_, err := io.Copy(io.Discard, os.Stdin) // it keeps the files that it was given, until it is killed
		return err
	case filepath.Base(os.Args[0]) == "guest-story":
		defer powerOff()
		return playUnits()
	}
	if err := boot(); err != nil {
		return err
	}
	if _, err := os.Stat(systemd); err == nil {
		return unix.Exec(systemd, []string{systemd, "--system"}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
	}
	defer powerOff()
	return tryCrafted()
}

// boot mounts what programs expect, and loads the modules of /modules.
func boot() error {
	for _, m := range []struct{ kind, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	list, err := os.ReadFile("/modules")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for file := range strings.FieldsSeq(string(list)) {
		if err := load(file); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	disk, err := os.ReadFile("/disk")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The file says which disk is mounted where, as "/dev/nvme0n1 /srv".
	device, target, _ := strings.Cut(strings.TrimSpace(string(disk)), " ")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := await("disk "+device, func() bool { _, err := os.Stat(device); return err == nil }); err != nil {
		return err
	}
	return unix.Mount(device, target, "ext4", 0, "")
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// powerOff ends the machine; what was reported is through by then.
func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// openReport opens the serial port that the test reads.
func openReport() (*bufio.Writer, error) {
	f, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open report: %w", err)
	}
	return bufio.NewWriter(f), nil
}
