package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Events tells when this mount namespace changes and what the kernel logs.
type Events struct {
	mounts int // /proc/self/mountinfo
	log    *KernelLog
}

// Event is what happened since the last Wait.
type Event struct {
	Mounts bool      // something was mounted, unmounted or remounted
	Lines  []LogLine // warnings, and worse, of the kernel's log
	Missed bool      // there were more lines than could be read
}

// OpenEvents begins to listen. logErr says why the kernel's log cannot be read: then
// Wait returns changes of mounts alone.
func OpenEvents() (_ *Events, logErr, err error) {
	e := &Events{}
	if e.mounts, err = open("/proc/self/mountinfo", unix.O_RDONLY); err != nil {
		return nil, nil, fmt.Errorf("open mount table: %w", err)
	}
	e.log, logErr = OpenKernelLog()
	return e, logErr, nil
}

// Close ends the listening. No Wait may be under way.
func (e *Events) Close() {
	e.log.Close()
	_ = unix.Close(e.mounts)
}

// Wait returns the next event, or an error when ctx has ended. It blocks a thread, and
// does not poll at intervals.
func (e *Events) Wait(ctx context.Context) (Event, error) {
	end, closeEnd, err := endOf(ctx)
	if err != nil {
		return Event{}, err
	}
	defer closeEnd()
	fds := []unix.PollFd{
		{Fd: int32(e.mounts), Events: unix.POLLPRI},
		{Fd: int32(end), Events: unix.POLLIN},
	}
	if e.log != nil {
		fds = append(fds, unix.PollFd{Fd: int32(e.log.fd), Events: unix.POLLIN})
	}
	for {
		if ctx.Err() != nil {
			return Event{}, ctx.Err()
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return Event{}, fmt.Errorf("wait for mounts and the kernel's log: %w", err)
		}
		event := Event{Mounts: fds[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0}
		if len(fds) > 2 && fds[2].Revents != 0 {
			event.Lines, event.Missed = e.log.Read()
			event.Lines = slices.DeleteFunc(event.Lines, func(l LogLine) bool { return l.Level >= levelNotice })
		}
		if event.Mounts || event.Missed || len(event.Lines) > 0 {
			return event, nil
		}
	}
}

// endOf returns an eventfd that poll(2) finds readable when ctx has ended. closeEnd closes
// it after the write under way, which would go to the next file with its number otherwise.
func endOf(ctx context.Context) (fd int, closeEnd func(), err error) {
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, nil, fmt.Errorf("make eventfd: %w", err)
	}
	written := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(written)
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	return fd, func() {
		if !stop() {
			<-written
		}
		_ = unix.Close(fd)
	}, nil
}
