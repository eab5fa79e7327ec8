package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/flocker-mesos/flocker/host"
)

// timesPause is the least time between two writes of the file of times.
const timesPause = time.Second

// run writes the times whenever there are new ones, until ctx ends.
func (t *times) run(ctx context.Context) {
	for {
		select {
		case <-t.changed:
		case <-ctx.Done():
			return
		}
		t.save()
		pause := time.NewTimer(timesPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			// What came since is written before the agent ends.
			select {
			case <-t.changed:
				t.save()
			default:
			}
			return
		}
	}
}

// save writes the times. That it fails is no reason for anything but a line in
// the log.
func (t *times) save() {
	if err := t.write(); err != nil {
		t.log.Warn("cannot write the times that volumes took", "file", t.path, "cause", err)
	}
}

func (t *times) write() error {
	data, err := t.encode()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return host.ReplaceFile(t.path, data, 0o600)
}

// removeUnreadable makes room for the file where something else is in its place,
// such as a directory, which no rename replaces.
func (t *times) removeUnreadable() {
	info, err := os.Lstat(t.path)
	if err != nil || !info.IsDir() {
		return
	}
	if err := os.Rename(t.path, t.path+".unreadable"); err != nil {
		t.log.Warn("cannot move away what is in the place of the file of times", "file", t.path, "cause", err)
	}
}
