package isolator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// askAgainLimit is how long a container that may or may not have volumes
	// is held up while nobody can tell: as long as an agent needs to restart.
	askAgainLimit = 5 * time.Second

	// limitMargin lets the agent's own limit come first, whose reason is the
	// better one.
	limitMargin = 5 * time.Second

	// reconnectPause is between two attempts to reach the agent.
	reconnectPause = 200 * time.Millisecond

	// showTimeout is how long a volume may need to show in the container
	// after it was mounted. The kernel propagates mounts at once, but an
	// agent may answer a moment before.
	showTimeout = 2 * time.Second
	showPause   = 20 * time.Millisecond
)

// Waiter waits, in the launch process and the mount namespace of a container,
// until the container's volumes are there.
type Waiter struct {
	Client   *Client
	Consumer string
	Targets  map[string]string // mount points by key
	Limit    time.Duration     // of the agent's patience
	Log      io.Writer         // the task's stderr
}

// Wait returns when all volumes show at their targets. An agent that restarts
// meanwhile is waited for. An error says in a sentence why the task can't start.
func (w *Waiter) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.Limit+limitMargin)
	defer cancel()
	mounts, err := awaitAgain(ctx, w.Client, w.Consumer, w.Log)
	if err != nil {
		return err
	}
	byKey := make(map[string]api.Mount, len(mounts))
	for _, m := range mounts {
		byKey[m.Key] = m
	}
	for key, target := range w.Targets {
		m, ok := byKey[key]
		if !ok || !m.Ready {
			return fmt.Errorf("the agent answered that all volumes are mounted, but without volume %s", key)
		}
		if err := shows(ctx, m, target); err != nil {
			return err
		}
	}
	return nil
}

// awaitAgain awaits a consumer's volumes until the agent's answer is final.
func awaitAgain(ctx context.Context, c *Client, consumer string, log io.Writer) ([]api.Mount, error) {
	last := ""
	say := func(sentence string) {
		if sentence != last {
			fmt.Fprintf(log, "flocker: %s\n", oneLine(sentence))
			last = sentence
		}
	}
	for {
		mounts, err := c.Await(ctx, consumer, say)
		gone, unreachable := errors.AsType[*UnreachableError](err)
		if !unreachable {
			return mounts, err
		}
		if ctx.Err() == nil {
			say(fmt.Sprintf("the agent does not answer on %s (%v), waiting for it", gone.Socket, gone.Err))
			if sleep(ctx, reconnectPause) == nil {
				continue
			}
		}
		if last != "" {
			return nil, fmt.Errorf("the volumes did not come in time; the last that was heard: %s", last)
		}
		return nil, err
	}
}

// shows waits for a moment until the volume is what a process here sees at its
// target, and not the empty directory below.
func shows(ctx context.Context, m api.Mount, target string) error {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	for {
		device, err := deviceOf(target)
		if err == nil && device == m.Device {
			return nil
		}
		if sleep(ctx, showPause) == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("volume %s does not show in the container: %w", m.Name, err)
		}
		return fmt.Errorf("volume %s is mounted on this machine, at %s, but does not show in the container, at %s: "+
			"mounts of the host do not reach the containers, because the mount root is not a shared mount that the Mesos "+
			"agent sees as shared or slave; \"flocker-isolator doctor\" tells what to change", m.Name, m.Source, target)
	}
}

// LabelWaiter asks again, in the launch process of a nested container, for the
// labels that nobody could tell when it was prepared.
type LabelWaiter struct {
	Client            *Client
	Container, Parent string
	Limit             time.Duration
	Log               io.Writer
}

// Wait returns nil if the task may start: it has no volumes, or nobody could
// tell in time. See Hook.Prepare for why that is so.
func (w *LabelWaiter) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.Limit)
	defer cancel()
	for {
		labels, err := w.Client.Labels(ctx, w.Container, w.Parent)
		switch {
		case err == nil && hasVolumeLabels(labels):
			return errors.New("the task's labels ask for volumes, which could not be known when its container was " +
				"prepared, because the flocker agent did not answer; it does now, so start the task again")
		case err == nil, api.CodeOf(err) == api.CodeNotFound:
			return nil
		case sleep(ctx, reconnectPause) == nil:
			continue
		}
		fmt.Fprintf(w.Log, "flocker: WARNING: whether this task's labels ask for volumes can't be found out (%s); "+
			"it starts without any\n", oneLine(err.Error()))
		return nil
	}
}

// oneLine keeps a text from looking like several lines of a log.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
