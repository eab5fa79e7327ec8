package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mapReader reads memory maps of processes. The kernel may make the reader of a memory
// map wait for as long as that process likes: such a read is left behind, one at the
// most. The zero value is ready to use.
type mapReader struct {
	mu   sync.Mutex
	hung chan struct{} // of a read that did not return, closed when it does
}

// find returns up to limit processes that have a file of a device mapped into their
// memory, or an error when it did not look at all of them before ctx ended.
func (r *mapReader) find(ctx context.Context, processes []int, device uint64, limit int) ([]Holder, error) {
	var found []Holder
	err := r.await(ctx, func() {
		for _, id := range processes {
			if ctx.Err() != nil || len(found) == limit {
				return
			}
			if path, ok := mapsDevice(filepath.Join("/proc", strconv.Itoa(id), "maps"), device); ok {
				found = append(found, Holder{Kind: HeldByMapping, Process: describeProcess(id), Path: plainPath(path)})
			}
		}
	})
	if err != nil {
		return nil, err // the read may still go on
	}
	if ctx.Err() != nil {
		return found, fmt.Errorf("memory maps were not all looked at: %w", context.Cause(ctx))
	}
	return found, nil
}

// await runs read until ctx ends. Only when it returns nil has read returned.
func (r *mapReader) await(ctx context.Context, read func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hung != nil {
		select {
		case <-r.hung:
			r.hung = nil
		default:
			return errors.New("memory maps were not looked at: an earlier read of one still hangs in the kernel")
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		r.hung = done
		return errors.New("memory maps were not looked at: the read of one hangs in the kernel")
	}
}

// mapsBytes bounds how much is read of one process' memory map.
const mapsBytes = 8 << 20

// mapsDevice reports whether a memory map has a file of a device, and which. Each
// line is "ADDRESSES PERMISSIONS OFFSET MAJOR:MINOR INODE PATH".
func mapsDevice(path string, device uint64) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	number := fmt.Sprintf("%02x:%02x", unix.Major(device), unix.Minor(device))
	lines := bufio.NewScanner(io.LimitReader(f, mapsBytes))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 5 && fields[3] == number && fields[4] != "0" {
			return strings.Join(fields[5:], " "), true
		}
	}
	return "", false
}
