package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// series is the times of one thing measured.
type series []time.Duration

// quantile returns the q-quantile, such as 0.5 for the median.
func (s series) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func (s series) median() time.Duration { return s.quantile(0.5) }

// String returns the median with the 10th and 90th percentile.
func (s series) String() string {
	return fmt.Sprintf("%s (%s-%s, n=%d)", short(s.median()), short(s.quantile(0.1)), short(s.quantile(0.9)), len(s))
}

func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2f us", float64(d.Nanoseconds())/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f us", float64(d.Nanoseconds())/1e3)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1e3)
	default:
		return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1e3)
	}
}

// result is one line of the report: a ratio and the goal it has.
type result struct {
	goal  string // as docs/performance.md numbers them, "" for a figure without one
	what  string
	value float64
	limit float64 // 0 for none
	least bool    // limit is a lower one
	none  bool    // the value is a number of what must not be at all
	ours  string
	floor string
}

func (r result) met() bool {
	switch {
	case r.none:
		return r.value == 0
	case r.limit == 0:
		return true
	case r.least:
		return r.value >= r.limit
	default:
		return r.value <= r.limit
	}
}

// report prints the results as a table.
func report(w io.Writer, results []result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GOAL\tWHAT\tRATIO\tLIMIT\t\tOURS\tFLOOR")
	for _, r := range results {
		limit, verdict := "", ""
		if r.none || r.limit != 0 {
			limit, verdict = fmt.Sprintf("<= %.2f", r.limit), "ok"
			switch {
			case r.none:
				limit = "= 0"
			case r.least:
				limit = fmt.Sprintf(">= %.2f", r.limit)
			}
			if !r.met() {
				verdict = "MISSED"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%s\t%s\t%s\t%s\n", r.goal, r.what, r.value, limit, verdict, r.ours, r.floor)
	}
	_ = t.Flush()
}

// ratio makes a result of two series.
func ratio(goal, what string, limit float64, ours, floor series) result {
	return result{
		goal: goal, what: what, limit: limit, ours: ours.String(), floor: floor.String(),
		value: float64(ours.median()) / float64(floor.median()),
	}
}

// joined runs all functions and returns what went wrong.
func joined(all ...func() error) error {
	var errs []error
	for _, f := range all {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// inOrder runs functions one after another until one fails.
func inOrder(all ...func() error) error {
	for _, f := range all {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
