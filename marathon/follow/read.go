package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/marathon"
	"github.com/flocker-mesos/flocker/marathon/client"
)

// Marathon is what is asked of Marathon; package client has it.
type Marathon interface {
	Info(ctx context.Context) (*client.Info, error)
	Apps(ctx context.Context) ([]*marathon.App, error)
	App(ctx context.Context, id string) (*marathon.App, error)
	Pods(ctx context.Context) ([]*client.PodStatus, error)
	Pod(ctx context.Context, id string) (*client.PodStatus, error)
	Deployments(ctx context.Context) ([]*client.Deployment, error)
	Events(ctx context.Context, opened func(), handle func(client.Event)) error
}

// errMoved says that what was read is of no use.
var errMoved = errors.New("another Marathon was elected while all apps were being read")

// snapshot reads everything. It is one only if the same leader was elected before
// and after.
func snapshot(ctx context.Context, m Marathon, now func() time.Time) (*Snapshot, error) {
	s := &Snapshot{Began: now(), Apps: map[string]*Sighting{}, Stops: map[string]bool{}}
	before, err := elected(ctx, m)
	if err != nil {
		return nil, err
	}
	s.Framework, s.Leader, s.Version, s.Role = before.Framework, before.Leader, before.Version, before.Config.Role
	var (
		apps        []*marathon.App
		pods        []*client.PodStatus
		deployments []*client.Deployment
	)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { apps, err = m.Apps(gctx); return wrapped("read apps", err) })
	group.Go(func() (err error) { pods, err = m.Pods(gctx); return wrapped("read pods", err) })
	group.Go(func() (err error) { deployments, err = m.Deployments(gctx); return wrapped("read deployments", err) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	after, err := elected(ctx, m)
	if err != nil {
		return nil, err
	}
	if after.Framework != before.Framework || after.Leader != before.Leader {
		return nil, errMoved
	}
	busy := map[string]bool{}
	for _, d := range deployments {
		for _, id := range d.AffectedPods {
			busy[id] = true
		}
		for _, step := range append(d.Steps, client.Step{Actions: d.CurrentActions}) {
			for _, a := range step.Actions {
				if id, ok := a.Stops(); ok {
					s.Stops[id] = true
				}
			}
		}
	}
	for _, a := range apps {
		s.Apps[a.ID] = seenApp(a)
	}
	for _, p := range pods {
		seen := seenPod(p)
		seen.AtRest = !busy[seen.ID]
		s.Apps[seen.ID] = seen
	}
	for _, seen := range s.Apps {
		seen.Role = cmp.Or(seen.Role, s.Role)
	}
	return s, nil
}

// elected returns what a Marathon says of itself that has a leader.
func elected(ctx context.Context, m Marathon) (*client.Info, error) {
	info, err := m.Info(ctx)
	switch {
	case err != nil:
		return nil, wrapped("read what Marathon says of itself", err)
	case info.Framework == "":
		return nil, errors.New("Marathon has not registered with Mesos yet: it knows of no framework id")
	case !info.Elected && info.Leader == "":
		return nil, errors.New("no Marathon is elected")
	}
	return info, nil
}

// readOne returns an app or pod, nil where Marathon has neither of that id.
func readOne(ctx context.Context, m Marathon, id string, pod bool) (*Sighting, error) {
	for _, pod := range []bool{pod, !pod} {
		var seen *Sighting
		var err error
		if pod {
			var p *client.PodStatus
			if p, err = m.Pod(ctx, id); err == nil {
				seen = seenPod(p)
			}
		} else {
			var a *marathon.App
			if a, err = m.App(ctx, id); err == nil {
				seen = seenApp(a)
			}
		}
		switch {
		case err == nil && seen.ID != id:
			return nil, fmt.Errorf("read %s: the answer is about %q", id, seen.ID)
		case err == nil:
			return seen, nil
		case !errors.Is(err, client.ErrNotFound):
			return nil, wrapped("read "+id, err)
		}
	}
	return nil, nil
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
