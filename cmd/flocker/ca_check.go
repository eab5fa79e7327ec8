package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

// checkFlags are what certificates are checked against.
type checkFlags struct {
	certs   string
	hosts   []string
	control []string
	out     caOutput
}

func newCACheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [FILE.crt...]",
		Short: "Check certificates, of whatever PKI, against the rules",
		Long: "Checks certificates, those of flocker ca or of any other PKI, and the keys beside them: all of a\n" +
			"directory, or the named ones. With --control it calls control services too, checks what they show,\n" +
			"and tells whether they admit the certificates. The rules, with their reasons, are in\n" +
			"docs/certificates.md. The exit code is 1 where something cannot work.",
		Example: "  flocker ca check --certs-path /etc/flocker\n" +
			"  flocker ca check alice.crt --control flocker.example.net:4523",
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.certs, "certs-path", "", "directory of cluster.crt and, where no file is named, of the certificates; by default the\n"+
		"first file's, or "+defaultConfigDir)
	flags.StringSliceVar(&f.hosts, "host", nil, "names and addresses that clients dial the control service by")
	flags.StringSliceVar(&f.control, "control", nil, "HOST:PORT of control services to call, on the port for users or that for agents")
	f.out.add(cmd)
	return cmd
}

func (f *checkFlags) run(cmd *cobra.Command, files []string) error {
	if err := f.out.check(); err != nil {
		return err
	}
	dir := f.certs
	switch {
	case dir == "" && len(files) > 0:
		dir = filepath.Dir(files[0])
	case dir == "":
		dir = defaultConfigDir
	}
	if len(files) == 0 {
		var err error
		if files, err = filepath.Glob(filepath.Join(dir, "*.crt")); err != nil {
			return fmt.Errorf("look for certificates: %w", err)
		}
		if len(files) == 0 {
			return fmt.Errorf("there are no certificates (*.crt) in %s; --certs-path says where they are", dir)
		}
	}
	options := pki.CheckOptions{Authority: filepath.Join(dir, pki.AuthorityCert), Hosts: f.hosts}
	findings := pki.Check(files, options)
	for _, address := range f.control {
		findings = append(findings, (&visit{address: address, options: options}).findings(cmd.Context(), files)...)
	}
	if f.out.json() {
		if err := f.out.print(cmd.OutOrStdout(), append([]pki.Finding{}, findings...)); err != nil {
			return err
		}
	} else {
		showFindings(api.Printing(cmd.OutOrStdout()), findings, len(files))
	}
	if n := count(findings, pki.Problem); n > 0 {
		return fmt.Errorf("not all of it can work: errors: %d", n)
	}
	return nil
}

func count(findings []pki.Finding, severity pki.Severity) int {
	n := 0
	for _, f := range findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

func showFindings(w io.Writer, findings []pki.Finding, files int) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-7s  %s (%s)\n         %s\n         To do: %s\n", f.Severity, f.File, f.Rule, f.Is, f.Do)
	}
	if len(findings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Files checked: %d. Errors: %d. Warnings: %d.\n", files, count(findings, pki.Problem), count(findings, pki.Warning))
}
