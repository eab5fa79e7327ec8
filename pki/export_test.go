package pki

import (
	"context"
	"time"
)

// LoadAt is LoadFiles with a clock.
var LoadAt = load

// WatchAt is Watch with a ticker of the test's.
func (c *Credentials) WatchAt(ctx context.Context, tick <-chan time.Time) { c.watch(ctx, tick) }

// ReadPair reads a certificate and its key as programs do.
var ReadPair = readPair
