package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// convergeLimit bounds each wait once everything works again. It is reached
// only when something is wrong.
const convergeLimit = 2 * time.Minute

// until waits for a condition, looking less often than lab.Until.
func until(ctx context.Context, what string, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, convergeLimit)
	defer cancel()
	next := time.Now()
	var last error
	return lab.Until(ctx, what, func() error {
		if last != nil && time.Now().Before(next) {
			return last
		}
		last = condition()
		next = time.Now().Add(100 * time.Millisecond)
		return last
	})
}

// converge sees that a cluster in which everything works again comes to what is
// wanted: all agents connected, everything on its node, nothing lost; and that
// nothing is left when all has been deleted.
func (r *run) converge(ctx context.Context) error {
	for _, n := range r.cluster.Nodes {
		if err := until(ctx, n.Name+" is connected", func() error {
			status, err := n.Status(ctx)
			if err == nil && !status.Connected {
				err = errors.New(status.Control)
			}
			return err
		}); err != nil {
			return err
		}
	}
	if err := r.users.finish(ctx); err != nil {
		return err
	}
	// Most have expired by now; a wrong clock may have given one for a day.
	if err := until(ctx, "all leases are released", func() error { return r.unlease(ctx) }); err != nil {
		return err
	}
	for i, l := range r.consumers.ledgers {
		n := r.cluster.Nodes[i%len(r.cluster.Nodes)]
		if err := r.lastLook(ctx, n, l); err != nil {
			return err
		}
	}
	if err := r.instances.lastLook(ctx); err != nil {
		return err
	}
	if err := until(ctx, "every dataset is as wanted", func() error { return r.settled(ctx, false) }); err != nil {
		return err
	}
	if err := r.deleteAll(ctx); err != nil {
		return err
	}
	if err := until(ctx, "every volume is destroyed", func() error { return r.settled(ctx, true) }); err != nil {
		return err
	}
	return until(ctx, "nothing of a volume is left", func() error {
		leaks, err := r.cluster.Leaks()
		if err == nil && len(leaks) > 0 {
			err = fmt.Errorf("%q", leaks)
		}
		return err
	})
}

// lastLook checks that a volume has what was written last.
func (r *run) lastLook(ctx context.Context, n *cluster.Node, l *ledger) error {
	consumer, boot := "last-"+l.name, n.BootID()
	defer r.consumers.release(ctx, n, consumer, boot)
	var m api.Mount
	if err := until(ctx, l.name+" comes to "+n.Name, func() (err error) {
		if m, err = acquire(ctx, n, api.VolumeRequest{Name: l.name}, consumer); err != nil {
			r.consumers.release(ctx, n, consumer, boot)
		}
		return err
	}); err != nil {
		return err
	}
	return l.check(n, m)
}

// details returns all datasets in full.
func (r *run) details(ctx context.Context) ([]*api.DatasetDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var all []*api.DatasetDetail
	_, err := get(ctx, r.http, r.cluster.Control, "/v1/volumes", &all)
	return all, err
}

// settled reports what is not as wanted: a dataset that a user has put on a
// node that exists is mounted there, any other is held by nobody, and a deleted
// one is gone.
func (r *run) settled(ctx context.Context, gone bool) error {
	all, err := r.details(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, d := range all {
		want := r.real[d.Dataset.Primary] && d.Dataset.Pinned
		switch {
		case gone || d.Dataset.Deleted:
			wrong = append(wrong, fmt.Errorf("%s is not destroyed: %s", d.Dataset.ID, d.Why))
		case want && d.Status != "mounted", want && !d.Dataset.HeldBy(d.Dataset.Primary):
			wrong = append(wrong, fmt.Errorf("%s is not mounted on %s: %s", d.Dataset.ID, d.Dataset.Primary, d.Why))
		case !want && d.Dataset.Holder != nil && r.real[d.Dataset.Holder.Node]:
			wrong = append(wrong, fmt.Errorf("%s is still held: %s", d.Dataset.ID, d.Why))
		}
	}
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Errorf("and %d more", len(wrong)-3))
	}
	return errors.Join(wrong...)
}

// deleteAll deletes every dataset that is not deleted yet.
func (r *run) deleteAll(ctx context.Context) error {
	all, err := r.details(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Dataset.Deleted {
			continue
		}
		if err := until(ctx, "dataset "+string(d.Dataset.ID)+" is deleted", func() error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			a, err := call(ctx, r.http, r.cluster.Control, http.MethodDelete, datasetsPath+"/"+string(d.Dataset.ID), "", nil)
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("%d %s", a.status, a.body)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
