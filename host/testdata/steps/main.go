// Command steps brings a device to be a volume that is mounted, and back, as
// an agent does: steps DEVICE FILESYSTEM WRITABLE ROOT. It looks before each
// step, so that it can be killed at any point and run again.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/flocker-mesos/flocker/host"
)

func main() {
	if err := run(host.Device{Path: os.Args[1]}, os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(dev host.Device, fs, writable, path string) error {
	root, err := host.OpenMountRoot(writable, path)
	if err != nil {
		return err
	}
	target, err := root.MakeMountPoint("volume")
	if err != nil {
		return err
	}
	view, err := root.MakeMountPoint("volume.ro")
	if err != nil {
		return err
	}
	if err := up(dev, fs, target); err != nil {
		return err
	}
	if _, bound, err := host.Mounted(view); err != nil || !bound {
		if err := host.BindReadOnly(target, view); err != nil {
			return err
		}
	}
	for _, target := range []string{view, target} {
		if err := host.Unmount(target); err != nil {
			return err
		}
	}
	return nil
}

func up(dev host.Device, fs, target string) error {
	_, mounted, err := host.Mounted(target)
	if err != nil {
		return err
	}
	if !mounted {
		sig, err := host.Probe(dev)
		if err != nil {
			return err
		}
		if sig.Kind == host.Blank {
			if err := host.Format(context.Background(), dev, fs); err != nil {
				return err
			}
		}
		if err := host.Check(context.Background(), dev); err != nil {
			return err
		}
		if err := host.Mount(dev.Path, target, fs, 0); err != nil {
			return err
		}
	}
	return host.FreshRoot(target)
}
