// Command steps brings a device to be a volume that is mounted, makes it larger,
// and takes it down, as an agent does: steps IMAGE DEVICE FILESYSTEM WRITABLE
// ROOT. It looks before each step, so that it can be killed at any point and run
// again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
)

func main() {
	if err := run(os.Args[1], host.Device{Path: os.Args[2]}, os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(image string, dev host.Device, fs, writable, path string) error {
	root, err := host.OpenMountRoot(writable, path)
	if err != nil {
		return err
	}
	target, err := root.MakeMountPoint("volume")
	if err != nil {
		return err
	}
	views := map[string]func(source, target string) error{"volume.ro": host.BindReadOnly, "volume.member": bindView}
	if err := up(dev, fs, target); err != nil {
		return err
	}
	targets := []string{target} // the volume's own comes last when they are unmounted
	for name, bind := range views {
		view, err := root.MakeMountPoint(name)
		if err != nil {
			return err
		}
		if _, bound, err := host.Mounted(view); err != nil || !bound {
			if err := bind(target, view); err != nil {
				return err
			}
		}
		targets = append([]string{view}, targets...)
	}
	if err := grow(image, dev, target); err != nil {
		return err
	}
	for _, target := range targets {
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
		if err := host.Mount(dev.Path, target, fs, host.Restricted); err != nil {
			return err
		}
	}
	return host.DropLostFound(target)
}

// size is what the image has in the end, in bytes.
const size = 640 << 20

// grow makes the volume larger while it is mounted.
func grow(image string, dev host.Device, target string) error {
	var st unix.Stat_t
	if err := unix.Stat(image, &st); err != nil {
		return err
	}
	if st.Size > size {
		return nil
	}
	if err := os.Truncate(image, size); err != nil {
		return err
	}
	number, err := strconv.Atoi(strings.TrimPrefix(dev.Path, "/dev/loop"))
	if err != nil {
		return err
	}
	if _, err := host.ResizeLoop(number, host.FileID{Dev: st.Dev, Inode: st.Ino}); err != nil {
		return err
	}
	if err := host.GrowFS(dev.Path, target); !errors.Is(err, host.ErrNotAllowed) {
		return err
	}
	return nil
}

// bindView makes a view as the agent does for a member of a set.
func bindView(source, target string) error { return host.BindLifting(source, target, 0, 0) }
