package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flocker-mesos/flocker/test/lab"
)

// Leaks returns, each in a sentence, what is left of volumes that nobody uses
// any more: loop devices, attached images, mounts, consumers, files of the
// Mesos module. It is empty when all is as it was before the first launch,
// apart from the datasets themselves.
func (c *Cluster) Leaks() ([]string, error) {
	var leaks []string
	loops, err := lab.Loops(c.Lab.Dir)
	if err != nil {
		return nil, err
	}
	for _, l := range loops {
		leaks = append(leaks, fmt.Sprintf("%s is attached to %s", l.Backing, l.Device))
	}
	files, err := filepath.Glob(filepath.Join(c.Lab.SAN, "attached", "*", "*"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		leaks = append(leaks, f+" is in the directory of attached volumes")
	}
	for _, n := range c.Nodes {
		of, err := n.leaks()
		if err != nil {
			return nil, fmt.Errorf("look for leaks on %s: %w", n.Name, err)
		}
		leaks = append(leaks, of...)
	}
	outside, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(outside), c.Lab.Dir) {
		leaks = append(leaks, "a mount of the lab shows outside of it")
	}
	return leaks, nil
}

func (n *Node) leaks() ([]string, error) {
	var leaks []string
	mounts, err := n.Mounts()
	if err != nil {
		return nil, err
	}
	for _, line := range mounts {
		// What is mounted comes after the separator: type, source, options.
		_, source, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(source); len(fields) > 1 && strings.HasPrefix(fields[1], "/dev/loop") {
			leaks = append(leaks, fmt.Sprintf("%s is mounted on %s: %s", fields[1], n.Name, line))
		}
	}
	processes, err := n.Processes()
	if err != nil {
		return nil, err
	}
	for _, line := range processes {
		// What Mesos or the agent starts for a volume ends with that work.
		for _, program := range []string{"flocker-isolator", "mesos-launch", "mkfs.", "mke2fs", "e2fsck", "fsck."} {
			if strings.Contains(line, program) {
				leaks = append(leaks, fmt.Sprintf("a process runs on %s: %s", n.Name, line))
			}
		}
	}
	for _, place := range []struct{ pattern, what string }{
		{"/var/lib/flocker/agent/consumers/*/*", "consumer"},
		{"/run/flocker/csi/*/*", "record of a CSI volume"},
		{"/var/lib/flocker/csi/*/target", "target path of a CSI volume"},
		{"/tmp/criteo-mesos-*", "file of the Mesos module"},
		{"/run/mesos/isolators/command/*/*", "context of a container"},
	} {
		files, err := filepath.Glob(n.Path(place.pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			leaks = append(leaks, fmt.Sprintf("%s is left on %s: %s", place.what, n.Name, filepath.Base(f)))
		}
	}
	return leaks, nil
}

// AwaitIdle waits until there are no leaks.
func (c *Cluster) AwaitIdle(ctx context.Context) error {
	return lab.Until(ctx, "nothing of a volume is left", func() error {
		leaks, err := c.Leaks()
		if err != nil {
			return err
		}
		if len(leaks) > 0 {
			return errors.New(strings.Join(leaks, "; "))
		}
		return nil
	})
}

// Complaints returns lines of the logs that no run may have: reports of the
// race detector, panics.
func (c *Cluster) Complaints() ([]string, error) {
	var found []string
	logs, err := filepath.Glob(filepath.Join(c.Lab.Dir, "hosts", "*", "log", "*"))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(c.Lab.Dir, func(path string, entry fs.DirEntry, err error) error {
		// The tasks' own output: flocker-isolator runs in there too.
		if err == nil && entry.Name() == "stderr" && strings.Contains(path, "/runs/") {
			logs = append(logs, path)
		}
		return nil // files come and go
	})
	if err != nil {
		return nil, err
	}
	for _, log := range logs {
		data, err := os.ReadFile(log)
		if err != nil {
			continue
		}
		for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: ", "goroutine 1 ["} {
			if at := bytes.Index(data, []byte(sign)); at >= 0 {
				found = append(found, fmt.Sprintf("%s: %s", log, data[at:min(len(data), at+4000)]))
				break
			}
		}
	}
	return found, nil
}
