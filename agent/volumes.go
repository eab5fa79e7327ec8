package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
)

// explainEvery is how often a waiting consumer asks the control service anew
// who has the volume and why.
const explainEvery = 5 * time.Second

// Volumes is the one use case behind all front doors: somebody on this node
// begins or ends to use volumes. All methods may be called again with the same
// arguments, and by several front doors at once.
type Volumes struct {
	log       *slog.Logger
	now       func() time.Time
	engine    *engine
	journal   *journal
	control   control
	root      mountRoot
	waitLimit time.Duration
	members   *members
	allowed   []string // mount options that consumers may ask for

	mu   sync.Mutex
	busy map[string]chan struct{} // consumers that are being acquired or released
}

// mountRoot is where volumes are mounted.
type mountRoot interface {
	MakeMountPoint(name string) (string, error)
	Path(name string) string
}

// lock serialises the calls for one consumer: Mesos may call cleanup while a
// prepare that it has given up on is still at work here.
func (v *Volumes) lock(ctx context.Context, consumer string) (unlock func(), err error) {
	for {
		v.mu.Lock()
		other, ok := v.busy[consumer]
		if !ok {
			mine := make(chan struct{})
			v.busy[consumer] = mine
			v.mu.Unlock()
			return func() {
				v.mu.Lock()
				delete(v.busy, consumer)
				v.mu.Unlock()
				close(mine)
			}, nil
		}
		v.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, api.Errorf(api.CodeUnavailable, "another call for consumer %s is still at work", consumer)
		}
	}
}

// Acquire makes the caller a consumer of volumes and starts bringing them to
// this node. It returns at once where they are, or will be, mounted; Await
// tells when. Errors: CodeInvalid, CodeConflict, CodeDeleted for requests that
// can never be met; CodeUnavailable while the control service is needed and
// cannot be reached, or where the client is gone: then nothing is recorded.
func (v *Volumes) Acquire(ctx context.Context, req api.AcquireRequest) ([]api.Mount, error) {
	if req.Consumer == "" || len(req.Volumes) == 0 {
		return nil, api.Errorf(api.CodeInvalid, "an acquire request names a consumer and at least one volume")
	}
	if err := v.checkOptions(req); err != nil {
		return nil, err
	}
	asked := time.Now()
	unlock, err := v.lock(ctx, req.Consumer)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// A client that is gone may be one whose container has ended, and whose Release
	// came before this: nothing would end its consumer.
	if req.Alive != nil && !req.Alive() {
		return nil, api.Errorf(api.CodeUnavailable, "the client for consumer %s is gone", req.Consumer)
	}
	if c := v.journal.get(req.Consumer); c != nil && c.SetAside == "" {
		if !c.asks(req.Volumes) {
			return nil, api.Errorf(api.CodeConflict, "consumer %s already uses other volumes", req.Consumer)
		}
		v.engine.inspect(c)
		return v.mounts(c), nil
	}

	user := numbersOf(req.User)
	req.Volumes = slices.Clone(req.Volumes)
	for i := range req.Volumes {
		req.Volumes[i].User = cmp.Or(req.Volumes[i].User, user)
	}
	release := v.engine.claiming(req.Consumer, req.Volumes)
	defer release()
	c := &consumer{Consumer: api.Consumer{ID: req.Consumer, Kind: req.Kind, App: req.App, Since: v.since(req), Owner: req.Owner}}
	c.Volumes = make([]consumedVolume, len(req.Volumes))
	claims, claimCtx := errgroup.WithContext(ctx)
	claims.Go(func() error { return v.claimMembers(claimCtx, req, c.Volumes) })
	for i, want := range req.Volumes {
		if want.Each != 0 {
			continue
		}
		claims.Go(func() error {
			record, err := v.claim(claimCtx, want, req)
			if err != nil {
				return fmt.Errorf("volume %s (%s): %w", want.Name, want.Key, err)
			}
			c.Volumes[i] = consumedVolume{
				Key: want.Key, Dataset: record.ID, Name: want.Name, ReadOnly: want.ReadOnly,
				User: want.User, Permissions: want.Permissions, Options: want.Options, Owner: req.Owner,
			}
			return nil
		})
	}
	if err := claims.Wait(); err != nil {
		v.leave(ctx, c)
		return nil, err
	}
	for _, vol := range c.Volumes {
		if err := v.makeMountPoints(vol); err != nil {
			return nil, err
		}
	}
	old := v.journal.get(req.Consumer) // whose file was set aside
	if err := v.journal.put(c); err != nil {
		return nil, err
	}
	v.engine.addConsumer(c, asked)
	if old != nil {
		v.engine.dropVolumes(old, c)
	}
	if c.pending() {
		v.members.wake()
	}
	v.log.Info("consumer acquired volumes", "consumer", c.ID, "kind", c.Kind, "app", c.App, "volumes", names(c.Volumes))
	v.engine.inspect(c)
	return v.mounts(c), nil
}

// since returns the moment from which a consumer's wait limit counts.
func (v *Volumes) since(req api.AcquireRequest) time.Time {
	now := v.now()
	if req.Since.IsZero() || req.Since.After(now) {
		return now
	}
	return req.Since
}

func (v *Volumes) makeMountPoints(vol consumedVolume) error {
	if vol.Member != nil {
		if _, err := v.root.MakeMountPoint(vol.Member.View); err != nil || vol.pending() {
			return err
		}
		_, err := v.root.MakeMountPoint(string(vol.Dataset))
		return err
	}
	for _, name := range []string{string(vol.Dataset), vol.mountPoint()} {
		if _, err := v.root.MakeMountPoint(name); err != nil {
			return err
		}
	}
	return nil
}

// claim finds or creates the dataset and takes the token or a place in the
// queue. The control service is not asked for what this node holds already and the
// owner may use.
func (v *Volumes) claim(ctx context.Context, want api.VolumeRequest, req api.AcquireRequest) (*api.Dataset, error) {
	app := api.NamedAfter(req.App, want.Key, want.Name)
	if record := v.engine.heldByName(want.Name); record != nil && (want.FS == "" || want.FS == record.FS) &&
		record.OpenTo(req.Owner) && (app == "" || app == record.App) {
		return record, nil
	}
	if req.Hurry {
		if err := v.control.reachable(); err != nil {
			return nil, err
		}
	}
	record, err := v.control.Claim(ctx, api.ClaimRequest{Find: &api.DatasetSpec{
		Name: want.Name, Size: want.Size, FS: want.FS, Profile: want.Profile, User: want.User, Permissions: want.Permissions, App: app,
	}, Preempt: want.Preempt, Owner: req.Owner})
	if err != nil {
		return nil, err
	}
	v.engine.learn(record)
	return record, nil
}

// Release ends a consumer. Its volumes are given back when nobody else on this
// node uses them; the caller does not wait for that. An unknown consumer is no
// error: it may have been released before.
func (v *Volumes) Release(ctx context.Context, id string) error {
	unlock, err := v.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return v.end(ctx, id)
}

// end releases a consumer. The caller has its lock.
func (v *Volumes) end(ctx context.Context, id string) error {
	c, err := v.journal.remove(id)
	if err != nil || c == nil {
		return err
	}
	v.engine.removeConsumer(c)
	v.leave(ctx, c)
	v.members.announce()
	v.log.Info("consumer released volumes", "consumer", c.ID, "kind", c.Kind, "app", c.App, "volumes", names(c.Volumes))
	return nil
}

// Await returns when all volumes of a consumer are mounted. It tells progress,
// in sentences for the consumer's log, whenever there is something new. Errors:
// CodeNotFound for an unknown consumer, CodeUnavailable when the wait limit has
// passed since the consumer came, CodeForbidden where the consumer's owner may not use
// a volume any more, CodeInternal for a failure that waiting does
// not mend; the text says why in the words of the last progress.
func (v *Volumes) Await(ctx context.Context, id string, progress func(string)) (_ []api.Mount, err error) {
	c := v.journal.get(id)
	if c == nil {
		return nil, api.Errorf(api.CodeNotFound, "consumer %s is not known here: it was never acquired or is released", id)
	}
	if c.Kind == api.ConsumerMesos { // consumers of the other doors stand for several containers
		v.engine.await(c)
	}
	// After a restart of the agent only the wall clock tells how long the
	// consumer has waited; if that was set back, the limit still holds.
	left := min(v.waitLimit-v.now().Sub(c.Since), v.waitLimit)
	timer := time.NewTimer(left)
	defer timer.Stop()
	for handed := false; !handed; handed = v.engine.hand(c) {
		for i, vol := range c.Volumes {
			if vol.pending() {
				if c, err = v.awaitMember(ctx, id, i, timer.C, progress); err != nil {
					return nil, err
				}
				vol = c.Volumes[i]
			}
			if err := v.awaitOne(ctx, id, vol, timer.C, progress); err != nil {
				return nil, err
			}
			if err := v.awaitOwner(ctx, vol, c.Owner, timer.C, progress); err != nil {
				return nil, fmt.Errorf("volume %s (%s): %w", vol.Name, vol.Key, err)
			}
		}
	}
	return v.mounts(c), nil
}

// awaitOwner is checkOwner that waits while the control service is away.
func (v *Volumes) awaitOwner(ctx context.Context, vol consumedVolume, owner api.Owner, limit <-chan time.Time, progress func(string)) error {
	again := time.NewTicker(explainEvery)
	defer again.Stop()
	for {
		err := v.checkOwner(ctx, vol, owner)
		if api.CodeOf(err) != api.CodeUnavailable {
			return err
		}
		progress(fmt.Sprintf("volume %s (%s): cannot ask whether %s may still use it: %v. Waiting, for %s at the most.",
			vol.Name, vol.Key, owner, err, v.waitLimit))
		select {
		case <-again.C:
		case <-limit:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkOwner refuses a volume that the consumer's owner may not use any more: it was
// given to another owner, or is no longer shared, since the consumer came. It may be
// mounted here for another consumer. One CSI consumer stands for all containers, so
// each new one is checked here. Where owners are not kept apart the control service
// refuses none.
func (v *Volumes) checkOwner(ctx context.Context, vol consumedVolume, owner api.Owner) error {
	record := v.engine.recordOf(vol.Dataset)
	if record != nil && record.OpenTo(owner) {
		return nil
	}
	_, err := v.control.Claim(ctx, api.ClaimRequest{ID: vol.Dataset, Owner: owner})
	switch api.CodeOf(err) {
	case api.CodeForbidden:
		return err
	case api.CodeUnavailable:
		if record != nil {
			return err
		}
	}
	return nil // what else is wrong concerns no owner, and the consumer has its volume
}

// awaitOne waits for one volume.
func (v *Volumes) awaitOne(ctx context.Context, id string, vol consumedVolume, limit <-chan time.Time, progress func(string)) error {
	again := time.NewTicker(explainEvery)
	defer again.Stop()
	var told string
	for {
		now := v.engine.look(vol.Dataset)
		if now.serves(vol) {
			return nil
		}
		why := v.explain(ctx, id, vol, now)
		if now.final {
			return api.Errorf(api.CodeInternal, "volume %s (%s): %s", vol.Name, vol.Key, why)
		}
		if why != told {
			told = why
			progress(fmt.Sprintf("volume %s (%s): %s. Waiting, for %s at the most.", vol.Name, vol.Key, why, v.waitLimit))
		}
		select {
		case <-now.changed:
		case <-again.C:
		case <-limit:
			return api.Errorf(api.CodeUnavailable, "volume %s (%s) is not ready after %s: %s", vol.Name, vol.Key, v.waitLimit, why)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// explain says in a sentence why a volume is not ready.
func (v *Volumes) explain(ctx context.Context, consumer string, vol consumedVolume, now glance) string {
	if now.final {
		return now.failure.Cause
	}
	if why, _ := v.members.look(consumer); why != "" {
		return strings.TrimSuffix(why, ".")
	}
	if now.blocked != "" {
		return now.blocked
	}
	if h := now.health; h != nil && now.failure == nil {
		return fmt.Sprintf("it is mounted here, but %s (since %s). %s", h.Cause, h.Since.UTC().Format(time.RFC3339), h.Remedy)
	}
	if now.failure != nil {
		return fmt.Sprintf("cannot %s since %s (%d attempts): %s", now.failure.Action,
			now.failure.Since.UTC().Format(time.RFC3339), now.failure.Attempts, now.failure.Cause)
	}
	if now.held && vol.Member != nil && now.others {
		return "another container of this machine that had it has not ended yet"
	}
	if now.held {
		return "this node holds it and prepares it"
	}
	ctx, cancel := context.WithTimeout(ctx, explainEvery)
	defer cancel()
	detail, err := v.control.Detail(ctx, vol.Dataset)
	if err != nil {
		return "waiting for another node to release it; its name is unknown: " + err.Error()
	}
	return strings.TrimSuffix(detail.Why, ".")
}

// Consumers returns all consumers of this node.
func (v *Volumes) Consumers() []api.Consumer {
	all := v.journal.all()
	out := make([]api.Consumer, len(all))
	for i, c := range all {
		out[i] = c.Consumer
	}
	return out
}

// allMounts says where the volumes of all consumers are, each once.
func (v *Volumes) allMounts() []api.Mount {
	var out []api.Mount
	seen := map[string]bool{}
	for _, c := range v.journal.all() {
		for _, m := range v.mounts(c) {
			if !seen[m.Source] {
				seen[m.Source] = true
				out = append(out, m)
			}
		}
	}
	return out
}

// mounts says where the volumes of a consumer are, and which are ready.
func (v *Volumes) mounts(c *consumer) []api.Mount {
	out := make([]api.Mount, len(c.Volumes))
	for i, vol := range c.Volumes {
		m := api.Mount{Key: vol.Key, DatasetID: vol.Dataset, Name: vol.Name, ReadOnly: vol.ReadOnly}
		m.Source = v.root.Path(vol.mountPoint())
		if vol.Member != nil {
			m.Set = vol.Member.Set.Name
		}
		if !vol.pending() {
			if now := v.engine.look(vol.Dataset); now.serves(vol) {
				m.Ready, m.Device = true, now.device
			}
		}
		out[i] = m
	}
	return out
}

// asks reports whether requests are for the consumer's volumes.
func (c *consumer) asks(requests []api.VolumeRequest) bool {
	return slices.EqualFunc(c.Volumes, requests, func(v consumedVolume, r api.VolumeRequest) bool {
		return v.Key == r.Key && v.asked() == r.Name && v.ReadOnly == r.ReadOnly && v.Options == r.Options && (v.Member != nil) == (r.Each != 0)
	})
}

func names(vols []consumedVolume) []string {
	out := make([]string, len(vols))
	for i, v := range vols {
		out[i] = v.Name
	}
	return out
}

// mountPoint is the name of the mount point at which the consumer sees the volume.
func (v consumedVolume) mountPoint() string {
	switch {
	case v.view() != "":
		return v.view()
	case v.ReadOnly:
		return readOnlyName(v.Dataset)
	default:
		return string(v.Dataset)
	}
}

// view is the mount point at which consumers see the volume in a way of their own,
// "" where they see it as all others do.
func (v consumedVolume) view() string {
	switch {
	case v.Member != nil:
		return v.Member.View
	case v.Options != "":
		return viewName(string(v.Dataset), v.ReadOnly, v.Options)
	default:
		return ""
	}
}

// readOnlyName is the mount point of a dataset's read-only view.
func readOnlyName(id api.DatasetID) string { return string(id) + viewSuffix }

const viewSuffix = ".ro"
