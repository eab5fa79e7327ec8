package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/test/vm/crafted"
)

const (
	scratchDisk = "/dev/nvme0n1"
	journalDisk = "/dev/nvme0n2"
	scratchDir  = "/mnt"
	// hangLimit is how long a trial may take in an emulated processor.
	hangLimit = 60 * time.Second
)

// tryCrafted tries each file system of /trials.json, in order.
func tryCrafted() error {
	report, err := openReport()
	if err != nil {
		return err
	}
	text, err := os.ReadFile("/trials.json")
	if err != nil {
		return err
	}
	var trials []crafted.Trial
	if err := json.Unmarshal(text, &trials); err != nil {
		return err
	}
	for _, disk := range []string{scratchDisk, journalDisk} {
		if err := await("disk "+disk, func() bool { _, err := os.Stat(disk); return err == nil }); err != nil {
			return err
		}
	}
	for _, t := range trials {
		if err := tell(report, crafted.Result{Trial: t.Name, Begun: true}); err != nil {
			return err
		}
		done := make(chan crafted.Result, 1)
		begin := time.Now()
		go func() { done <- try(t) }()
		var result crafted.Result
		select {
		case result = <-done:
		case <-time.After(hangLimit):
			result = crafted.Result{Outcome: crafted.Hung}
		}
		result.Trial, result.MS = t.Name, time.Since(begin).Milliseconds()
		if err := tell(report, result); err != nil || result.Outcome == crafted.Hung {
			return err
		}
	}
	_, err = report.WriteString("end\n")
	return errors.Join(err, report.Flush())
}

func tell(report *bufio.Writer, result crafted.Result) error {
	return errors.Join(json.NewEncoder(report).Encode(result), report.Flush())
}

// try goes the agent's way with a file system, and then a task's.
func try(t crafted.Trial) (result crafted.Result) {
	defer func() {
		result.Taint = taint()
		result.Journal = checksum(journalDisk)
		var usage unix.Rusage
		if unix.Getrusage(unix.RUSAGE_CHILDREN, &usage) == nil {
			result.Memory = usage.Maxrss
		}
	}()
	if err := lay(t); err != nil {
		return crafted.Result{Said: "lay out the device: " + err.Error()}
	}
	dev := host.Device{Path: scratchDisk}
	sig, err := host.Probe(dev)
	if err != nil {
		return crafted.Result{Outcome: crafted.Refused, Said: err.Error()}
	}
	if sig.Kind != host.Filesystem || sig.Type != t.FS {
		return crafted.Result{Outcome: crafted.Refused, Said: sig.String()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit/2)
	defer cancel()
	if !sig.Clean {
		if err := host.Check(ctx, dev); err != nil {
			return crafted.Result{Outcome: crafted.Failed, Said: err.Error()}
		}
	}
	if err := host.Mount(scratchDisk, scratchDir, t.FS, unix.MS_NOSUID|unix.MS_NODEV); err != nil {
		return crafted.Result{Outcome: crafted.Failed, Said: err.Error()}
	}
	result = crafted.Result{Outcome: crafted.Mounted, Options: options()}
	if err := use(scratchDir); err != nil {
		result.Trouble = err.Error()
	}
	if err := host.Unmount(scratchDir); err != nil {
		result.Said = err.Error()
	}
	return result
}

// lay writes a trial's base image and patches to the scratch disk.
func lay(t crafted.Trial) error {
	base, err := os.Open("/" + t.Base)
	if err != nil {
		return err
	}
	defer base.Close()
	disk, err := os.OpenFile(scratchDisk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	buffer := make([]byte, 1<<20)
	if _, err := io.CopyBuffer(struct{ io.Writer }{disk}, struct{ io.Reader }{base}, buffer); err != nil {
		return err
	}
	for _, p := range t.Patches {
		if _, err := disk.WriteAt(p.Data, p.At); err != nil {
			return err
		}
	}
	return disk.Sync()
}

// use does what tasks do with a volume, all of it, and returns the first error.
func use(dir string) error {
	var first error
	note := func(err error) {
		if first == nil && err != nil {
			first = err
		}
	}
	seen := 0
	note(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		note(err)
		if seen++; seen > 500 {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		_, err = unix.Llistxattr(path, make([]byte, 4096))
		note(err)
		switch {
		case d.Type().IsRegular():
			note(readSome(path))
		case d.Type()&fs.ModeSymlink != 0:
			_, err := os.Readlink(path)
			note(err)
		}
		return nil
	}))
	made := filepath.Join(dir, "made")
	note(os.Mkdir(made, 0o755))
	for i := range 20 {
		note(writeSome(filepath.Join(made, strconv.Itoa(i))))
	}
	note(os.Rename(made, filepath.Join(dir, "moved")))
	note(os.RemoveAll(filepath.Join(dir, "moved")))
	note(os.RemoveAll(filepath.Join(dir, "tree")))
	return first
}

func readSome(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(io.Discard, f, 1<<20)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

func writeSome(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(make([]byte, 20<<10)); err != nil {
		return err
	}
	return f.Sync()
}

func options() string {
	table, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); fields[1] == scratchDir {
			return fields[3]
		}
	}
	return ""
}

func taint() int {
	text, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return -1
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return value
}

func checksum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, 1<<20)); err != nil {
		return fmt.Sprint(err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
