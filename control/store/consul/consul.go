package consul

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/flocker-mesos/flocker/consulaccess"
	"github.com/flocker-mesos/flocker/control/store"
)

const (
	// maxOps is how many operations Consul takes in a transaction: 64 in its
	// older versions, 128 in newer ones.
	maxOps = 64
	// maxChanges leaves room for head, the commit and the mark.
	maxChanges = maxOps - 3

	// maxBody is how many bytes Consul takes in a transaction.
	maxBody = 512 << 10
	// maxBytes keeps a transaction below that however its bytes are divided:
	// values grow by a third on the way, keys stand in it up to three times and
	// grow too. A test has the worst case.
	maxBytes = 304 << 10
)

// Log is a log in Consul, as one replica has it.
type Log struct {
	name   string
	keys   keys
	client *client

	closing context.Context // ends with Close
	stop    context.CancelFunc
	calls   sync.WaitGroup

	// waiter is taken by the one call that waits for Consul, for all that follow.
	waiter chan struct{}

	mu        sync.Mutex
	closed    bool
	seen      *position     // the newest head that was read, nil before the first
	changed   chan struct{} // closed when seen changes
	known     *known        // nil until the records were read
	own       own
	sending   map[string]chan struct{} // closed when the commit with an id has been answered
	unsettled unsettled
	older     []store.Record // as Recall was given them
}

// position is a head and its index in Consul, by which it can be replaced and
// waited for. The zero value is that of an empty log.
type position struct {
	head

	index uint64
}

// known is what this process knows of all records, as of a position.
type known struct {
	position
	index

	begun bool // PREFIX-begun is there
}

var _ store.Log = (*Log)(nil)

// Open returns the log that settings name. It reads files that they name, and
// talks to Consul only when the Log is used.
func Open(settings Settings) (*Log, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	client, err := newClient(settings)
	if err != nil {
		return nil, err
	}
	l := &Log{
		name: settings.String(), keys: newKeys(settings.Prefix), client: client,
		waiter: make(chan struct{}, 1), changed: make(chan struct{}),
		sending: map[string]chan struct{}{},
	}
	l.closing, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Properties implements store.Log.
func (l *Log) Properties() store.Properties {
	return store.Properties{Name: l.name, MaxChanges: maxChanges, MaxBytes: maxBytes, History: history}
}

// Warnings say what an operator should change in how Consul is reached.
func (l *Log) Warnings() []string {
	if text := consulaccess.Warning("Consul, which has the log,", l.client.plain); text != "" {
		return []string{text}
	}
	return nil
}

// Close implements store.Log. It waits until all calls have ended.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.calls.Wait()
	l.client.close()
	return nil
}

// enter begins a call. The context that it returns ends with Close too; leave
// is to be called at the call's end.
func (l *Log) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l.calls.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.closing, cancel)
	return ctx, func() {
		stop()
		cancel()
		l.calls.Done()
	}, nil
}

// ended returns a call's error as the contract has it where the call was
// broken off: ErrClosed, or the error of the caller's context.
func (l *Log) ended(ctx context.Context, err error) error {
	cause := ctx.Err()
	if l.closing.Err() != nil {
		cause = store.ErrClosed
	}
	switch {
	case err == nil, cause == nil, certain(err):
		return err
	case errors.Is(err, store.ErrUncertain):
		return fmt.Errorf("%w: %w", store.ErrUncertain, cause)
	}
	return cause
}

// certain reports whether an error says something about the log, and so holds
// whatever has become of the call.
func certain(err error) bool {
	if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
		return true
	}
	for _, known := range []error{store.ErrRaced, store.ErrTooLarge, store.ErrGap, store.ErrRewound} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (l *Log) damaged(what string, err error) error {
	return &store.DamagedError{Name: l.name, What: what, Err: err}
}
