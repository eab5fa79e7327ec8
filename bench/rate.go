package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

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
		users := make([]*http.Client, callers)
		raw := make([]*rawConsul, callers)
		for i := range callers {
			tls, err := certs.userTLS()
			if err != nil {
				return nil, err
			}
			users[i] = &http.Client{Transport: &http.Transport{TLSClientConfig: tls}} // HTTP/1.1, as for Consul
			raw[i] = newRawConsul(addresses[0])
		}
		var ours, floor series
		var number atomic.Int64
		for range max(s.rounds*3/4, 30) {
			if err := callsAtOnce(&ours, func(ctx context.Context, caller int) error {
				return createRaw(ctx, users[caller], "https://"+control.users+pathConfiguration, fmt.Sprintf(
					`{"primary": %q, "metadata": {"name": "dataset-%d"}}`, certs.nodes[0], number.Add(1)))
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

// createRaw creates a dataset as anybody could, with nothing but net/http.
func createRaw(ctx context.Context, user *http.Client, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := user.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("create dataset: %s: %s", resp.Status, text)
	}
	return err
}
