package follow

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// notedCluster keeps the status that was made known last.
type notedCluster struct {
	Cluster
	noted api.MarathonStatus
}

func (c *notedCluster) Now() time.Time { return time.Unix(1000, 0) }

func (c *notedCluster) Note(_ context.Context, s api.MarathonStatus) error {
	c.noted = s
	return nil
}

// TestTheStatusTellsOfWhatIsStillSo has the apps and the events fail and come back.
func TestTheStatusTellsOfWhatIsStillSo(t *testing.T) {
	ctx := t.Context()
	unread := func(f *Follower) { f.failed(ctx, errors.New("no apps"), time.Second) }
	read := func(f *Follower) { f.update(func(s *api.MarathonStatus) { s.DownSince = time.Time{} }) }
	gone := func(f *Follower) {
		f.update(func(s *api.MarathonStatus) { s.Events, f.noEvents = false, "no events" })
	}
	back := func(f *Follower) { f.update(func(s *api.MarathonStatus) { s.Events, f.noEvents = true, "" }) }
	for name, c := range map[string]struct {
		steps []func(*Follower)
		want  string
	}{
		"nothing has been tried":           {},
		"all is well":                      {steps: []func(*Follower){back, read}},
		"apps cannot be read":              {steps: []func(*Follower){back, unread}, want: "no apps"},
		"neither can be had":               {steps: []func(*Follower){gone, unread}, want: "no apps"},
		"in the other order":               {steps: []func(*Follower){unread, gone}, want: "no apps"},
		"the apps can be read again":       {steps: []func(*Follower){gone, unread, read}, want: "no events"},
		"the events are back, apps not":    {steps: []func(*Follower){gone, unread, back}, want: "no apps"},
		"everything is back":               {steps: []func(*Follower){gone, unread, back, read}},
		"everything is back, events first": {steps: []func(*Follower){unread, gone, read, back}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &notedCluster{}
			f, err := New(DefaultConfig(), nil, cluster, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range c.steps {
				step(f)
			}
			f.note(ctx)
			if cluster.noted.Cause != c.want {
				t.Errorf("got %q, want %q", cluster.noted.Cause, c.want)
			}
		})
	}
}
