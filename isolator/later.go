package isolator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Later is a request that was not answered while prepare ran, because the agent or the
// control service was away. The launch process carries it and asks again, so only this
// container waits.
type Later struct {
	Acquire api.AcquireRequest `json:"acquire"`
	// Labels is set where the volumes are known only once Mesos has been asked for the
	// container's labels. Environment then has the variables that count beside them.
	Labels      *api.LabelsRequest `json:"labels,omitempty"`
	Environment []api.Label        `json:"environment,omitempty"`
	// AskLimit is how long the labels are asked for before the task starts without them.
	// Zero is never: its framework has used labels before.
	AskLimit time.Duration `json:"ask_limit,omitempty"`
}

// maxLater bounds the encoded request. Mesos passes it on in a variable, of which the
// kernel takes 128 KiB, together with everything else that Mesos says there.
const maxLater = 48 << 10

// encode returns the request as ParseLater reads it.
func (l *Later) encode() (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("write request: %w", err)
	}
	if len(text) > maxLater {
		return "", fmt.Errorf("the flocker agent or the control service is away, and the container's request, of %d bytes, is too large "+
			"to wait for it: the limit is %d; start the task again when it is back", len(text), maxLater)
	}
	return string(text), nil
}

// ParseLater reads what encode has written.
func ParseLater(text string) (*Later, error) {
	l := new(Later)
	if err := json.Unmarshal([]byte(text), l); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return l, nil
}

// awaited reports whether a failure to ask the agent ends by itself: the agent or the
// control service is away. Another user's socket in the agent's place is a mistake.
func awaited(err error) bool {
	return unreached(err) != nil || api.CodeOf(err) == api.CodeUnavailable
}

// unreached returns the failure to reach an agent that is away, nil for other errors.
func unreached(err error) *UnreachableError {
	if gone, ok := errors.AsType[*UnreachableError](err); ok && !errors.Is(err, errPeer) {
		return gone
	}
	return nil
}

// errNoVolumes says that a container's labels ask for none, or cannot be known.
var errNoVolumes = errors.New("the container asks for no volumes")

// catchUp makes the requests that prepare could not: for the labels, and then for the
// volumes. It returns how long the container may wait in all, or errNoVolumes where the
// task starts without volumes.
func (m *Mounter) catchUp(ctx context.Context, say *speaker) (time.Duration, error) {
	ctx, cancel := context.WithDeadline(ctx, m.began.Add(m.Limit))
	defer cancel()
	req := m.Later.Acquire
	req.Since = m.began
	if m.Later.Labels != nil {
		var err error
		if req.Volumes, err = m.askLabels(ctx, say); err != nil {
			return 0, err
		}
	}
	reply, err := m.Client.acquire(ctx, say, m.Limit, req)
	if err != nil {
		return 0, fmt.Errorf("get volumes: %w", err)
	}
	return reply.WaitLimit, nil
}

// acquire is Acquire that waits for an agent or a control service that is away.
func (c *Client) acquire(ctx context.Context, say *speaker, limit time.Duration, req api.AcquireRequest) (*api.LocalReply, error) {
	return persist(ctx, say, acquirePause, limit, func(ctx context.Context) (*api.LocalReply, error) {
		ctx, cancel := context.WithTimeout(ctx, acquireLimit)
		defer cancel()
		return c.Acquire(ctx, req)
	})
}

// askLabels asks for the labels of a container and notes its targets.
func (m *Mounter) askLabels(ctx context.Context, say *speaker) ([]api.VolumeRequest, error) {
	limit := cmp.Or(m.Later.AskLimit, m.Limit)
	askCtx, cancel := context.WithDeadline(ctx, m.began.Add(limit))
	defer cancel()
	labels, err := persist(askCtx, say, reconnectPause, limit, func(ctx context.Context) ([]api.Label, error) {
		return m.Client.Labels(ctx, m.Later.Labels.Container, m.Later.Labels.Parent)
	})
	switch {
	case api.CodeOf(err) == api.CodeNotFound:
		return nil, errNoVolumes // the agent's operator has decided that labels of task groups are not read
	case err != nil && m.Later.AskLimit > 0:
		fmt.Fprintf(m.Log, "flocker: WARNING: whether this task's labels ask for volumes can't be found out (%s); "+
			"it starts without any\n", oneLine(err.Error()))
		return nil, errNoVolumes
	case err != nil:
		return nil, fmt.Errorf("its framework has asked for volumes by labels before, and whether this task does can't be found out: %w", err)
	}
	volumes, notes, err := api.ParseVolumes("", labels, m.Later.Environment)
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		fmt.Fprintln(m.Log, "flocker:", oneLine(note))
	}
	if len(volumes) == 0 {
		return nil, errNoVolumes
	}
	if m.Space.Sandbox.Path == "" {
		return nil, errors.New("the task's labels ask for volumes, which could not be known when its container was " +
			"prepared, because the flocker agent did not answer; it does now, so start the task again")
	}
	m.Targets, err = Place(&Config{Directory: m.Space.Sandbox.Path, Rootfs: m.Space.Rootfs.Path}, m.Space.View, volumes)
	return volumes, err
}

// Pauses between two attempts. A control service that is away is not asked five times a
// second by each container of a cluster.
const (
	reconnectPause = 200 * time.Millisecond
	acquirePause   = time.Second
)

// persist repeats a request until it is answered, or its context ends. It tells say the
// reason for waiting. A refusal is an answer.
func persist[T any](ctx context.Context, say *speaker, pause, limit time.Duration, request func(context.Context) (T, error)) (T, error) {
	since, last := time.Now(), error(nil)
	for {
		answer, err := request(ctx)
		if err == nil || !awaited(err) {
			return answer, err
		}
		if ctx.Err() == nil || last == nil {
			last = err // and not that this wait has come to its end
		}
		if ctx.Err() == nil {
			say.say(waitingFor(err, since, limit))
			next := pause
			if unreached(err) != nil {
				next = reconnectPause
			}
			_ = sleep(ctx, next)
		}
		if ctx.Err() != nil {
			return answer, fmt.Errorf("waited for %s: %w", time.Since(since).Round(time.Second), last)
		}
	}
}

// waitingFor says what a container waits for, since when and how long at the most.
func waitingFor(err error, since time.Time, limit time.Duration) string {
	what := err.Error()
	if gone := unreached(err); gone != nil {
		what = fmt.Sprintf("the flocker agent does not answer on %s (%v)", gone.Socket, gone.Err)
	}
	return fmt.Sprintf("%s; waiting for it since %s (%s), for %s at the most", what,
		since.UTC().Format(time.RFC3339), time.Since(since).Round(time.Second), limit)
}

// speaker writes what a container waits for into its log: at once where that is new, and
// again after a while where it is not.
type speaker struct {
	log    io.Writer
	prefix string
	again  time.Duration

	gist string
	at   time.Time
	last string // said or not
}

// sayAgain is a little less than the five seconds after which the agent explains anew.
const sayAgain = 4500 * time.Millisecond

func (s *speaker) say(sentence string) {
	s.last = sentence
	gist := gistOf(sentence)
	if gist == s.gist && time.Since(s.at) < s.again {
		return
	}
	s.gist, s.at = gist, time.Now()
	fmt.Fprintf(s.log, "%s %s\n", s.prefix, oneLine(sentence))
}

// gistOf returns a sentence without its numbers, durations and times of day: two
// sentences that differ in those alone say the same.
func gistOf(sentence string) string {
	gist := make([]byte, 0, len(sentence))
	number := false
	for i := range len(sentence) {
		c := sentence[i]
		digit := c >= '0' && c <= '9'
		letter := isLetter(c)
		switch {
		case number && (digit || letter || c == '.' || c == ':' || c == '-'):
			continue
		case digit && (i == 0 || !isLetter(sentence[i-1])):
			number = true
			continue
		}
		number = false
		gist = append(gist, c)
	}
	return string(gist)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 }
