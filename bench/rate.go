package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/consul"
)

// Batches of P10.
const (
	callers     = 64
	callsABatch = 2048
)

// benchRate measures durable changes a second through REST against plain puts
// to the same Consul, with as many clients.
func benchRate(s settings) ([]result, error) {
	return withConsul(s, func(c *consul.Cluster) ([]result, error) {
		certs, err := makeCertificates(filepath.Join(s.dir, "certs"), 1)
		if err != nil {
			return nil, err
		}
		addresses := leaderFirst(c)
		control, err := newControl(s, filepath.Join(s.dir, "control"), certs, consulStore("rate", addresses...))
		if err != nil {
			return nil, err
		}
		users := make([]*client.Client, callers)
		raw := make([]*rawConsul, callers)
		for i := range callers {
			if users[i], err = control.user(); err != nil {
				return nil, err
			}
			raw[i] = newRawConsul(addresses[0])
		}
		var ours, floor series
		var number atomic.Int64
		for range max(s.rounds*3/4, 30) {
			if err := callsAtOnce(&ours, func(ctx context.Context, caller int) error {
				_, err := users[caller].Create(ctx, client.CreateRequest{
					Primary: certs.nodes[0], Metadata: map[string]string{"name": fmt.Sprintf("dataset-%d", number.Add(1))},
				}, "")
				return err
			}); err != nil {
				return nil, fmt.Errorf("create datasets: %w", err)
			}
			if err := callsAtOnce(&floor, func(ctx context.Context, caller int) error {
				return raw[caller].put(ctx, fmt.Sprintf("raw/%d", number.Add(1)))
			}); err != nil {
				return nil, fmt.Errorf("put: %w", err)
			}
		}
		return []result{
			rate("P10", fmt.Sprintf("durable changes/s, %d clients: REST / put to Consul", callers), 1.5, callsABatch, ours, floor),
		}, control.process.stop()
	})
}

// callsAtOnce adds the time of a batch of calls, made by all callers.
func callsAtOnce(s *series, call func(ctx context.Context, caller int) error) error {
	return timed(s, func() error {
		ctx, cancel := patiently()
		defer cancel()
		var left atomic.Int64
		left.Store(callsABatch)
		g, ctx := errgroup.WithContext(ctx)
		for caller := range callers {
			g.Go(func() error {
				for left.Add(-1) >= 0 {
					if err := call(ctx, caller); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return g.Wait()
	})
}
