package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// waiting is how long a command waits for what it has asked for.
type waiting struct{ limit time.Duration }

func (w *waiting) add(cmd *cobra.Command, what string) {
	cmd.Flags().DurationVar(&w.limit, "wait", 0, "how long to wait until it is "+what+", such as 1m")
}

// until waits until a dataset is as asked for. It says how the dataset is
// whenever that has changed.
func (w *waiting) until(cmd *cobra.Command, cl *client.Client, id api.DatasetID, done func(*api.DatasetDetail) bool) error {
	if w.limit <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), w.limit)
	defer cancel()
	var status, why string
	_, err := cl.AwaitVolume(ctx, string(id), func(d *api.DatasetDetail) bool {
		if d.Status != status {
			fmt.Fprintf(cmd.OutOrStdout(), "It is %s.\n", d.Status)
		}
		status, why = d.Status, d.Why
		return done(d)
	})
	if err != nil && ctx.Err() != nil && cmd.Context().Err() == nil {
		return fmt.Errorf("gave up after %s: %s", w.limit, why)
	}
	return err
}
