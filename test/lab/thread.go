package lab

import (
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// errGone is returned by do after the thread has ended.
var errGone = errors.New("the host is gone")

// thread is an operating-system thread with namespaces of its own. Linux gives
// each thread its namespaces, so what do runs sees the host's files and
// network, and processes started there are born inside, without a helper
// between: their pid is the one that the parent knows.
type thread struct {
	jobs  chan func()
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once
}

// newThread starts a thread and runs enter on it, which moves it where it
// belongs. If enter fails the thread ends.
func newThread(enter func() error) (*thread, error) {
	t := &thread{jobs: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	entered := make(chan error, 1)
	go onOwnThread(func() {
		defer close(t.ended)
		err := enter()
		entered <- err
		if err != nil {
			return
		}
		for {
			select {
			case job := <-t.jobs:
				job()
			case <-t.quit:
				return
			}
		}
	})
	if err := <-entered; err != nil {
		<-t.ended
		return nil, err
	}
	return t, nil
}

// onOwnThread runs fn on a thread that ends with it: it is never unlocked, so
// the runtime ends it with the goroutine, and no other goroutine can find
// itself in the host. It is not the process's first thread, which cannot end
// and by whose namespaces /proc/self shows the whole process.
func onOwnThread(fn func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		fn()
		return
	}
	elsewhere := make(chan struct{})
	go onOwnThread(func() {
		close(elsewhere)
		fn()
	})
	<-elsewhere
	runtime.UnlockOSThread()
}

// do runs fn on the thread and returns its error. Calls run one after another;
// fn must not wait for long and must not call do.
func (t *thread) do(fn func() error) error {
	result := make(chan error, 1)
	select {
	case t.jobs <- func() { result <- fn() }:
		return <-result
	case <-t.ended:
		return errGone
	}
}

// end ends the thread, and so every process that was started on it with a
// parent-death signal.
func (t *thread) end() {
	t.once.Do(func() { close(t.quit) })
	<-t.ended
}
