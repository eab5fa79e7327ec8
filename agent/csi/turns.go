package csi

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// turns has the calls about one volume wait for each other: an orchestrator
// that has given up on a call may make the next one while the first is still at
// work here. The zero value is ready to use.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits for the volume; done ends the turn.
func (t *turns) take(ctx context.Context, volume string) (done func(), err error) {
	for {
		t.mu.Lock()
		other, taken := t.busy[volume]
		if !taken {
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			t.busy[volume] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, volume)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, status.Errorf(codes.Aborted, "another call for volume %s is still at work", volume)
		}
	}
}
