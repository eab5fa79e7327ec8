package main

import (
	"fmt"
	"io"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

// showExpiries writes a line for every certificate of the cluster that ends
// soon, or has ended.
func showExpiries(w io.Writer, s *api.ClusterStatus) {
	first := true
	line := func(whose string, ends time.Time) {
		if ends.IsZero() || ends.Sub(s.Now) >= pki.ExpiryWarning {
			return
		}
		if first {
			fmt.Fprintln(w)
			first = false
		}
		fmt.Fprintf(w, "The certificate of %s %s (%s): flocker ca renew\n", whose, remaining(ends, s.Now), ends.UTC().Format(time.RFC3339))
	}
	for _, r := range s.Replicas {
		if r.Lost.IsZero() {
			line("replica "+r.Name, r.CertificateExpires)
		}
	}
	for _, n := range s.Nodes {
		line("node "+n.Name(), n.CertificateExpires)
	}
}
