package agent

import (
	"context"
	"fmt"
	"os"
	"time"
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
	tmp := t.path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync() // a power cut leaves the old file or the new one
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, t.path)
}
