package mesos

import "sync"

// actor runs what it is given strictly one after another, in the order in
// which it came: a libprocess actor that blocks.
type actor struct {
	mu      sync.Mutex
	queue   []func()
	wake    chan struct{}
	quit    chan struct{}
	stopped chan struct{}
}

func newActor() *actor {
	a := &actor{wake: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{})}
	go a.run()
	return a
}

// send puts fn at the end of the line.
func (a *actor) send(fn func()) {
	a.mu.Lock()
	a.queue = append(a.queue, fn)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// stop ends the actor after what it runs now; the rest of the line is dropped.
func (a *actor) stop() {
	close(a.quit)
	<-a.stopped
}

func (a *actor) run() {
	defer close(a.stopped)
	for {
		a.mu.Lock()
		var next func()
		if len(a.queue) > 0 {
			next, a.queue = a.queue[0], a.queue[1:]
		}
		a.mu.Unlock()
		select {
		case <-a.quit:
			return
		default:
		}
		if next != nil {
			next()
			continue
		}
		select {
		case <-a.wake:
		case <-a.quit:
			return
		}
	}
}
