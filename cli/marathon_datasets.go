package cli

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/marathon/check"
)

// askLimit is how long the control service is asked: its answers are of use, and the
// rest can be checked without.
const askLimit = 10 * time.Second

// askControl notes which of the datasets that are asked for exist, or tells why it
// is not known.
func askControl(ctx context.Context, conn *Connection, documents []*check.Document, world *check.Context, tell func(reason string)) {
	names := check.Names(documents)
	if len(names) == 0 {
		return
	}
	if err := lookUp(ctx, conn, names, world); err != nil {
		reason := err.Error()
		if unnamed(err) {
			reason = "none is named with --control-service, " + envControl + " or a context"
		}
		tell("The control service was not asked which of the volumes exist, and with which size, file system and zone: " +
			strings.ReplaceAll(reason, "\n", " "))
	}
}

// unnamed reports whether nobody has said which control service there is.
func unnamed(err error) bool {
	_, ok := errors.AsType[*usage.Error](err)
	return ok
}

// lookUp asks the control service.
func lookUp(ctx context.Context, conn *Connection, names []string, world *check.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	cl, err := conn.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	var mu sync.Mutex
	datasets := map[string]check.Dataset{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookUps)
	for _, name := range names {
		group.Go(func() error {
			d, err := cl.Volume(ctx, name)
			if api.CodeOf(err) == api.CodeNotFound {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			datasets[name] = known(d.Dataset)
			return nil
		})
	}
	group.Go(func() error {
		// One that does not know of Marathon says nothing of it.
		if view, err := cl.MarathonApps(ctx, ""); err == nil {
			world.Unfollowed = view.Marathon == nil
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	world.Datasets = datasets
	return nil
}

// known is what the rules look at of a dataset.
func known(d *api.Dataset) check.Dataset {
	k := check.Dataset{Size: d.Size, FS: d.FS}
	if d.Volume != nil {
		k.Zone = d.Volume.Zone
	}
	return k
}
