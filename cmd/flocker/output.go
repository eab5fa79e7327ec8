package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// output is how a command shows what it found.
type output struct {
	format string
	long   bool
}

const (
	outputTable = "table"
	outputJSON  = "json"
)

func (o *output) add(cmd *cobra.Command) {
	o.addFormat(cmd)
	cmd.Flags().BoolVarP(&o.long, "long", "l", false, "show ids in full")
}

func (o *output) addFormat(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", outputTable, "table or json")
}

func (o *output) check() error {
	if o.format != outputTable && o.format != outputJSON {
		return &usageError{fmt.Errorf("--output %q: want %s or %s", o.format, outputTable, outputJSON)}
	}
	return nil
}

// print shows values as JSON, or the table of them.
func (o *output) print(cmd *cobra.Command, values any, t *table) error {
	if o.format == outputJSON {
		return printJSON(cmd, values)
	}
	t.print(cmd.OutOrStdout(), terminalWidth(cmd.OutOrStdout()))
	return nil
}

func printJSON(cmd *cobra.Command, value any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// age writes how long something has been, in one unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d/day))
	}
}
