package isolator

import (
	"context"
	"fmt"
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
)

// awaitAgain repeats a call of Await or AwaitTrees until the agent's answer is
// final. While no agent answers it says so, and how long the caller waits.
func awaitAgain[T any](ctx context.Context, say *speaker, limit time.Duration, await func(context.Context, func(string)) (T, error)) (T, error) {
	var away time.Time // since when no agent answers, zero while one does
	for {
		answer, err := await(ctx, func(sentence string) {
			away = time.Time{}
			say.say(sentence)
		})
		if unreached(err) == nil {
			return answer, err
		}
		if ctx.Err() == nil {
			if away.IsZero() {
				away = time.Now()
			}
			say.say(waitingFor(err, away, limit))
			if sleep(ctx, reconnectPause) == nil {
				continue
			}
		}
		if say.last != "" {
			return answer, fmt.Errorf("the volumes did not come in time; the last that was heard: %s", say.last)
		}
		return answer, err
	}
}

// oneLine keeps a text of others from looking like several lines of a log, and from
// being obeyed by a terminal.
func oneLine(text string) string { return api.Printable(strings.ReplaceAll(text, "\n", " ")) }
