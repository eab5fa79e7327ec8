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
	// is held up while no agent answers: as long as an agent needs to restart.
	askAgainLimit = 5 * time.Second

	// limitMargin lets the agent's own limit come first, whose reason is the
	// better one.
	limitMargin = 5 * time.Second

	// reconnectPause is between two attempts to reach the agent.
	reconnectPause = 200 * time.Millisecond
)

// awaitAgain repeats a call of Await or AwaitTrees until the agent's answer is
// final.
func awaitAgain[T any](ctx context.Context, log io.Writer, await func(context.Context, func(string)) (T, error)) (T, error) {
	last := ""
	say := func(sentence string) {
		if sentence != last {
			fmt.Fprintf(log, "flocker: %s\n", oneLine(sentence))
			last = sentence
		}
	}
	for {
		answer, err := await(ctx, say)
		gone, unreachable := errors.AsType[*UnreachableError](err)
		if !unreachable {
			return answer, err
		}
		if ctx.Err() == nil {
			say(fmt.Sprintf("the agent does not answer on %s (%v), waiting for it", gone.Socket, gone.Err))
			if sleep(ctx, reconnectPause) == nil {
				continue
			}
		}
		if last != "" {
			return answer, fmt.Errorf("the volumes did not come in time; the last that was heard: %s", last)
		}
		return answer, err
	}
}

// LabelWaiter asks again, in the launch process of a nested container, for the
// labels that no agent could tell when it was prepared.
type LabelWaiter struct {
	Client            *Client
	Container, Parent string
	Limit             time.Duration
	Log               io.Writer
}

// Wait returns nil if the task may start: it has no volumes, or no agent could
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

// oneLine keeps a text of others from looking like several lines of a log, and from
// being obeyed by a terminal.
func oneLine(text string) string { return api.Printable(strings.ReplaceAll(text, "\n", " ")) }
