package loopback

import (
	"context"
	"fmt"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// Device returns the loop device of a volume: the one that it had, if it still
// shows the volume's image.
func (b *Backend) Device(ctx context.Context, volumeID string) (backend.Device, error) {
	if err := ctx.Err(); err != nil {
		return backend.Device{}, err
	}
	b.mu.Lock()
	known, ok := b.loops[volumeID]
	b.mu.Unlock()
	if !ok {
		return backend.Device{}, fmt.Errorf("find device of volume %s: %w", volumeID, backend.ErrNotAttached)
	}
	loop, ok := b.remembered(volumeID, known.Backing)
	if !ok {
		return backend.Device{}, fmt.Errorf("find device of volume %s: %s is gone: %w", volumeID, known.Path(), backend.ErrNotAttached)
	}
	return backend.Device{Path: loop.Path(), Size: loop.Size, Image: b.root.here(volumeID)}, nil
}

// remembered returns the loop device that a volume was attached by, if it still
// shows the image.
func (b *Backend) remembered(volumeID string, image host.FileID) (host.Loop, bool) {
	b.mu.Lock()
	known, ok := b.loops[volumeID]
	b.mu.Unlock()
	if !ok || known.Backing != image {
		return host.Loop{}, false
	}
	loop, err := host.StatLoop(known.Number)
	if err != nil || loop.Backing != image || loop.Clearing {
		return host.Loop{}, false
	}
	return loop, true
}

func (b *Backend) remember(volumeID string, loop host.Loop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loops[volumeID] = loop
}

func (b *Backend) forget(volumeID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.loops, volumeID)
}

// rediscover finds the loop devices of this instance's volumes.
func (b *Backend) rediscover() error {
	names, err := readNames(b.root.at(b.config.InstanceID, ""))
	if err != nil {
		return fmt.Errorf("list attached volumes: %w", err)
	}
	loops := map[string]host.Loop{}
	if len(names) > 0 {
		all, err := host.ScanLoops()
		if err != nil {
			return err
		}
		byImage := make(map[host.FileID]host.Loop, len(all))
		for _, loop := range all {
			if !loop.Clearing {
				byImage[loop.Backing] = loop
			}
		}
		for _, name := range names {
			image, err := fileID(b.root.here(name))
			if err != nil {
				continue // gone meanwhile
			}
			if loop, ok := byImage[image]; ok {
				loops[name] = loop
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loops = loops
	return nil
}

// findLoop looks for the loop device of an image, among all.
func findLoop(image host.FileID) (host.Loop, bool, error) {
	loops, err := host.ScanLoops()
	if err != nil {
		return host.Loop{}, false, err
	}
	var clearing host.Loop
	for _, loop := range loops {
		if loop.Backing != image {
			continue
		}
		if !loop.Clearing {
			return loop, true, nil
		}
		clearing = loop
	}
	return clearing, clearing.Backing == image, nil
}
