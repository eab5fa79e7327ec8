package ha

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
)

func newID() string { return uuid.NewString() }

// load are clients that make datasets through all replicas, one after the other
// each.
type load struct {
	w      *world
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[string]bool
	failed       int
}

// callTimeout is how long a client of a load waits for an answer.
const callTimeout = 3 * time.Second

func (w *world) load(clients int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{w: w, cancel: cancel, acknowledged: map[string]bool{}}
	w.t.Cleanup(func() { l.cancel(); l.wg.Wait() })
	for range clients {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.once(ctx)
			}
		})
	}
	return l
}

func (l *load) once(ctx context.Context) {
	id, r := newID(), l.w.Controls[rand.IntN(len(l.w.Controls))]
	// A call that has begun is ended, so that its outcome is known.
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	err := create(callCtx, r, id)
	l.mu.Lock()
	if err == nil {
		l.acknowledged[id] = true
	} else {
		l.failed++
	}
	l.mu.Unlock()
	if err == nil {
		return
	}
	select { // who is refused at once does not ask at once again
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

func (l *load) count() (acknowledged, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged), l.failed
}

// more waits until n further changes were acknowledged.
func (l *load) more(n int) {
	l.w.t.Helper()
	from, _ := l.count()
	l.w.until(fmt.Sprint(n, " further changes are acknowledged"), func() error {
		if now, failed := l.count(); now < from+n {
			return fmt.Errorf("%d are, %d failed", now-from, failed)
		}
		return nil
	})
}

// end ends the load and checks that every replica comes to show all that was
// acknowledged.
func (l *load) end() {
	l.w.t.Helper()
	l.cancel()
	l.wg.Wait()
	acknowledged, failed := l.count()
	l.w.t.Logf("%d changes were acknowledged, %d calls failed", acknowledged, failed)
	for _, r := range l.w.Controls {
		l.w.until(r.Name+" shows all that was acknowledged", func() error {
			shown, err := l.w.datasets(r)
			if err != nil {
				return err
			}
			lost := 0
			for id := range l.acknowledged {
				if !shown[id] {
					lost++
				}
			}
			if lost > 0 {
				return fmt.Errorf("%d of %d are lost", lost, acknowledged)
			}
			return nil
		})
	}
}
