package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/pki"
)

// caOutput is how show and check show what they found.
type caOutput struct{ format string }

const (
	caText = "text"
	caJSON = "json"
)

func (o *caOutput) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", caText, "text or json")
}

func (o *caOutput) check() error {
	if o.format != caText && o.format != caJSON {
		return usage.Errorf("--output %q: want %s or %s", o.format, caText, caJSON)
	}
	return nil
}

func (o *caOutput) json() bool { return o.format == caJSON }

func (o *caOutput) print(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func newCAShow() *cobra.Command {
	var out caOutput
	cmd := &cobra.Command{
		Use:     "show FILE.crt...",
		Short:   "Show what certificates say: whose, of which cluster, for which names, until when",
		Example: "  flocker ca show /etc/flocker/*.crt",
		Args:    usage.Takes(cobra.MinimumNArgs(1), "at least one certificate's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			all := []pki.Details{}
			for _, file := range args {
				certs, err := pki.Show(file)
				if err != nil {
					return err
				}
				all = append(all, certs...)
			}
			if out.json() {
				return out.print(cmd.OutOrStdout(), all)
			}
			for i, d := range all {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				showCertificate(api.Printing(cmd.OutOrStdout()), d, time.Now())
			}
			return nil
		},
	}
	out.add(cmd)
	return cmd
}

func showCertificate(w io.Writer, d pki.Details, now time.Time) {
	fmt.Fprintf(w, "File     %s\nRole     %s\nName     %s\nCluster  %s\nNames    %s\nValid    from %s to %s (%s)\nKey      %s\nX.509    version %d\n"+
		"Subject  %s\nIssuer   %s\nSerial   %s\n",
		d.File, cmp.Or(string(d.Role), "none of Flocker's"), d.Name, cmp.Or(d.Cluster, "none"), cmp.Or(strings.Join(d.Names, ", "), "none"), d.From.Format(time.RFC3339), d.To.Format(time.RFC3339), remaining(d.To, now),
		d.Key, d.Version, d.Subject, d.Issuer, d.Serial)
}

// remaining says how long a certificate is still valid.
func remaining(end, now time.Time) string {
	if end.Before(now) {
		return fmt.Sprintf("expired %d days ago", int(now.Sub(end)/day))
	}
	return fmt.Sprintf("ends in %d days", int(end.Sub(now)/day))
}
