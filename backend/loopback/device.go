package loopback

import (
	"context"
	"fmt"
	"maps"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/host"
)

// Device returns the loop device of a volume: the one that it had, if it still
// shows the volume's image.
func (b *Backend) Device(ctx context.Context, volumeID string) (backend.Device, error) {
	if err := ctx.Err(); err != nil {
		return backend.Device{}, err
	}
	known, err := b.known(volumeID)
	if err != nil {
		return backend.Device{}, fmt.Errorf("find device of volume %s: %w", volumeID, err)
	}
	loop, ok := b.remembered(volumeID, known.Backing)
	if !ok {
		return backend.Device{}, fmt.Errorf("find device of volume %s: %s is gone: %w", volumeID, known.Path(), backend.ErrNotAttached)
	}
	return b.device(volumeID, loop), nil
}

func (b *Backend) device(volumeID string, loop host.Loop) backend.Device {
	return backend.Device{Path: loop.Path(), Size: loop.Size, Image: b.root.here(volumeID)}
}

// Attached returns the loop devices of all volumes that are attached here, from
// one pass over the loop devices.
func (b *Backend) Attached(ctx context.Context) (map[string]backend.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := b.root.check(); err != nil {
		return nil, err
	}
	loops, err := b.rediscover()
	if err != nil {
		return nil, err
	}
	devices := make(map[string]backend.Device, len(loops))
	for id, loop := range loops {
		devices[id] = b.device(id, loop)
	}
	return devices, nil
}

// known returns the loop device that a volume had when it was last seen:
// ErrNotAttached if none.
func (b *Backend) known(volumeID string) (host.Loop, error) {
	if err := b.scanOnce(); err != nil {
		return host.Loop{}, err
	}
	loop, ok := b.last(volumeID)
	if !ok {
		return host.Loop{}, backend.ErrNotAttached
	}
	return loop, nil
}

// scanOnce finds what was attached before this process started, if nobody has
// asked for it yet.
func (b *Backend) scanOnce() error {
	if b.scanned.Load() {
		return nil
	}
	b.scanning.Lock()
	defer b.scanning.Unlock()
	if b.scanned.Load() {
		return nil
	}
	_, err := b.scan()
	return err
}

// remembered returns the loop device that a volume was attached by, if it still
// shows the image.
func (b *Backend) remembered(volumeID string, image host.FileID) (host.Loop, bool) {
	known, ok := b.last(volumeID)
	if !ok || known.Backing != image {
		return host.Loop{}, false
	}
	loop, err := host.StatLoop(known.Number)
	if err != nil || loop.Backing != image || loop.Clearing {
		return host.Loop{}, false
	}
	return loop, true
}

// last returns the loop device that a volume had when it was last seen.
func (b *Backend) last(volumeID string) (host.Loop, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	loop, ok := b.loops[volumeID]
	return loop, ok
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
func (b *Backend) rediscover() (map[string]host.Loop, error) {
	b.scanning.Lock()
	defer b.scanning.Unlock()
	return b.scan()
}

// scan is rediscover for who holds b.scanning.
func (b *Backend) scan() (map[string]host.Loop, error) {
	names, err := readNames(b.root.at(b.config.InstanceID, ""))
	if err != nil {
		return nil, fmt.Errorf("list attached volumes: %w", err)
	}
	all, err := host.ScanLoops()
	if err != nil {
		return nil, err
	}
	loops := b.ownLoops(all)
	byImage := byImage(all)
	for _, name := range names {
		if _, known := loops[name]; known {
			continue
		}
		image, err := fileID(b.root.here(name))
		if err != nil {
			continue // gone meanwhile
		}
		if loop, ok := byImage[image]; ok {
			loops[name] = loop
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Others may have been attached meanwhile; what is gone is noticed when
	// it is used.
	maps.Copy(b.loops, loops)
	b.scanned.Store(true)
	return loops, nil
}

// byImage returns loop devices by their images.
func byImage(all []host.Loop) map[host.FileID]host.Loop {
	byImage := make(map[host.FileID]host.Loop, len(all))
	for _, loop := range all {
		if !loop.Clearing {
			byImage[loop.Backing] = loop
		}
	}
	return byImage
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
