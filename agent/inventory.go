package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend"
)

// The log may be a new one, or an older one from a backup, while the storage has
// volumes of before. So the agent tells the control service once which volumes there
// are, in the background, and makes none before that has been taken in.

// surveyAge is how old the listing of the first survey may be to serve as inventory.
const surveyAge = time.Minute

// maxInventoryRetry bounds the pause between two attempts at an inventory.
const maxInventoryRetry = 10 * time.Second

// inventory tells whether the control service knows what this node's storage has.
type inventory struct {
	wanted chan struct{} // holds one token while there may be one to bring

	mu       sync.Mutex
	taken    string // incarnation of the log that has taken it in
	why      string // why none was taken in by the last attempt
	surveyed []backend.Volume
	at       time.Time // of surveyed
}

func newInventory() *inventory { return &inventory{wanted: make(chan struct{}, 1)} }

func (i *inventory) want() {
	select {
	case i.wanted <- struct{}{}:
	default:
	}
}

// survey keeps the listing with which the agent began.
func (i *inventory) survey(volumes []backend.Volume) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.surveyed, i.at = volumes, time.Now()
}

// stock returns what the storage has.
func (i *inventory) stock(ctx context.Context, from backend.Backend) ([]backend.Volume, error) {
	i.mu.Lock()
	volumes, fresh := i.surveyed, !i.at.IsZero() && time.Since(i.at) < surveyAge
	i.surveyed, i.at = nil, time.Time{}
	i.mu.Unlock()
	if fresh {
		return volumes, nil
	}
	return from.List(ctx)
}

// cleared reports why no volume may be made yet for a log's incarnation.
func (i *inventory) cleared(incarnation string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if incarnation == i.taken {
		return nil
	}
	why := i.why
	if why == "" {
		why = "that is under way"
	}
	return api.Errorf(api.CodeUnavailable, "no volume is made before the control service knows which ones the storage has, "+
		"so that none is made anew whose record was lost: %s", why)
}

func (i *inventory) note(taken string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.why = err.Error()
		return
	}
	i.taken, i.why = taken, ""
}

// stockTaker is a Session to a control service that takes inventories.
type stockTaker interface {
	Inventory(ctx context.Context, inv api.Inventory) (*api.InventoryReply, error)
}

// takeInventories brings the control service an inventory once for each incarnation
// of its log, until ctx ends.
func (a *Agent) takeInventories(ctx context.Context) {
	retry := &backoff.ExponentialBackOff{InitialInterval: minRetry, Multiplier: 2, MaxInterval: maxInventoryRetry, RandomizationFactor: 0.5}
	retry.Reset()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.inventory.wanted:
		case <-again:
		}
		again = nil
		err := a.takeInventory(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			retry.Reset()
			continue
		}
		wait := retry.NextBackOff()
		again = time.After(wait)
		a.deps.Log.Warn("no inventory of the storage yet, so no volumes are made", "cause", err, "next_try", wait.Round(time.Millisecond))
	}
}

func (a *Agent) takeInventory(ctx context.Context) error {
	session, err := a.link.current()
	if err != nil {
		return nil // the next stream asks for one
	}
	taker, ok := session.(stockTaker)
	incarnation := session.Welcome().Incarnation
	if !ok || a.inventory.cleared(incarnation) == nil {
		return nil
	}
	volumes, err := a.inventory.stock(ctx, a.deps.Backend)
	if err != nil {
		err = fmt.Errorf("list the volumes of %s: %w", a.stepper.backendName(), err)
		a.inventory.note("", err)
		return err
	}
	inv := api.Inventory{Incarnation: incarnation, Volumes: make([]api.InventoryVolume, 0, len(volumes))}
	for _, v := range volumes {
		if v.DatasetID != "" {
			inv.Volumes = append(inv.Volumes, api.InventoryVolume{
				ID: v.ID, Dataset: api.DatasetID(v.DatasetID), Name: v.Name, Size: v.Size, Zone: v.Zone, AttachedTo: v.AttachedTo,
			})
		}
	}
	reply, err := taker.Inventory(ctx, inv)
	if err != nil {
		a.inventory.note("", fmt.Errorf("tell the control service: %w", err))
		return err
	}
	for _, d := range reply.Datasets {
		a.engine.learn(d) // before any of them is made
	}
	a.inventory.note(incarnation, nil)
	a.engine.retryCreates()
	a.nameVolumes(ctx, volumes)
	return nil
}

// nameVolumes gives volumes that are attached here their datasets' present names, which
// earlier versions did not store. Others get theirs when they are attached.
func (a *Agent) nameVolumes(ctx context.Context, volumes []backend.Volume) {
	for _, v := range volumes {
		if v.AttachedTo != a.stepper.instance {
			continue
		}
		if record := a.engine.recordOf(api.DatasetID(v.DatasetID)); record != nil && record.Volume != nil && record.Volume.ID == v.ID {
			a.stepper.rename(ctx, record, &v)
		}
	}
}

// mayMake reports why no volume may be made for a dataset.
func (a *Agent) mayMake(record *api.Dataset) error {
	if record.Blocked != "" {
		return api.Errorf(api.CodeUnavailable, "%s", record.Blocked)
	}
	session, err := a.link.current()
	if err != nil {
		return err
	}
	if _, ok := session.(stockTaker); !ok {
		return nil
	}
	return a.inventory.cleared(session.Welcome().Incarnation)
}

// retryCreates retries the datasets whose volumes could not be made before.
func (e *engine) retryCreates() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.datasets {
		if d.record != nil && d.record.Volume == nil {
			e.wake(d)
		}
	}
}
