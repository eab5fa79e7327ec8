package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Config says what a machine is like.
type Config struct {
	Kernel    *Kernel
	Initramfs string // path of the archive
	Memory    int    // MiB
	// Disks are raw images, which the machine sees as /dev/nvme0n1,
	// /dev/nvme0n2 and so on.
	Disks []string
	// Append is for the kernel's command line.
	Append string
	// Args are further arguments of QEMU.
	Args []string
}

// Machine is a running QEMU.
type Machine struct {
	cmd    *exec.Cmd
	dir    string
	done   chan struct{}
	err    error
	stderr strings.Builder
}

// Start boots a machine, with files of its own in dir. It ends when it powers
// off, when its kernel panics, and with ctx. A kernel that oopses panics.
func Start(ctx context.Context, dir string, config Config) (*Machine, error) {
	m := &Machine{dir: dir, done: make(chan struct{})}
	args := []string{
		"-M", "q35", "-accel", "tcg", "-smp", "1", "-m", strconv.Itoa(config.Memory), "-nodefaults", "-no-user-config",
		"-display", "none", "-no-reboot", "-kernel", config.Kernel.Image, "-initrd", config.Initramfs,
		"-append", strings.TrimSpace("console=ttyS0 loglevel=4 no_timer_check oops=panic panic=-1 " + config.Append),
		"-serial", "file:" + m.path("console"), "-serial", "file:" + m.path("report"),
	}
	if len(config.Disks) > 0 {
		args = append(args, "-device", "nvme,id=nvme,serial=vm")
	}
	for i, image := range config.Disks {
		id := "disk" + strconv.Itoa(i+1)
		args = append(args, "-drive", "file="+image+",if=none,format=raw,discard=unmap,id="+id,
			"-device", "nvme-ns,bus=nvme,nsid="+strconv.Itoa(i+1)+",drive="+id)
	}
	m.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", append(args, config.Args...)...)
	m.cmd.Stderr = &m.stderr
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() {
		m.err = m.cmd.Wait()
		close(m.done)
	}()
	return m, nil
}

func (m *Machine) path(name string) string { return filepath.Join(m.dir, name) }

// Wait waits until the machine has ended. That it panicked is no error: see
// Console.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		if m.err != nil {
			return fmt.Errorf("QEMU: %w: %s", m.err, m.stderr.String())
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Console returns what the kernel and /init have written so far.
func (m *Machine) Console() string { return m.text("console") }

// Report returns what the machine has written to /dev/ttyS1 so far.
func (m *Machine) Report() string { return m.text("report") }

func (m *Machine) text(name string) string {
	text, err := os.ReadFile(m.path(name))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r", "")
}
