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

// pollInterval is how often the control service is asked meanwhile.
const pollInterval = 200 * time.Millisecond

// until waits until a dataset is as asked for. It says how the dataset is
// whenever that has changed.
func (w *waiting) until(cmd *cobra.Command, cl *client.Client, id api.DatasetID, done func(*api.DatasetDetail) bool) error {
	if w.limit <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), w.limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var status, why string
	for {
		d, err := cl.Volume(ctx, string(id))
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			if d.Status != status {
				fmt.Fprintf(cmd.OutOrStdout(), "It is %s.\n", d.Status)
			}
			status, why = d.Status, d.Why
			if done(d) {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			return fmt.Errorf("gave up after %s: %s", w.limit, why)
		}
	}
}
