package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/pki"
)

// caFlags are what the commands of the certificate authority share. The names
// are those of Flocker's flocker-ca.
type caFlags struct {
	in, out string
	key     string
	days    int
}

func (f *caFlags) add(flags *pflag.FlagSet, validity time.Duration) {
	flags.StringVarP(&f.out, "outputpath", "o", ".", "directory to write to")
	flags.StringVar(&f.key, "key", string(pki.ECDSA), "kind of key: ecdsa (P-256) or rsa (4096 bits)")
	flags.IntVar(&f.days, "days", int(validity/day), "days that the certificate is valid for")
}

func (f *caFlags) addInput(flags *pflag.FlagSet) {
	flags.StringVarP(&f.in, "inputpath", "i", ".", "directory of the authority's cluster.crt and cluster.key")
}

const day = 24 * time.Hour

func (f *caFlags) options() (pki.Options, error) {
	if f.days < 1 || f.days > 36500 {
		return pki.Options{}, &usageError{Err: fmt.Errorf("--days %d: want a number from 1 to 36500", f.days)}
	}
	return pki.Options{Key: pki.KeyType(f.key), Validity: time.Duration(f.days) * day}, nil
}

// authority opens the authority that the flags name.
func (f *caFlags) authority() (*pki.Authority, error) {
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	return pki.OpenAuthority(f.in, opts)
}

func newCA() *cobra.Command {
	return group(&cobra.Command{
		Use:   "ca",
		Short: "Make the certificates of a cluster",
		Long: "Makes the certificate authority of a cluster and certificates for the control service, the\n" +
			"nodes and the users. Files are written with mode 0600 and never overwritten.",
	}, newCAInitialize(), newCAControl(), newCANode(), newCAUser())
}

func newCAInitialize() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "initialize NAME",
		Short:   "Make the authority of a new cluster: cluster.crt and cluster.key",
		Example: "  flocker ca initialize mycluster -o /root/flocker-ca",
		Args:    takes(cobra.ExactArgs(1), "the cluster's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := f.options()
			if err != nil {
				return err
			}
			authority, err := pki.Initialize(f.out, args[0], opts)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Created %s and %s for cluster %s (%s).\n"+
				"Keep %[2]s secret and safe: whoever has it can make certificates that open the whole cluster.\n",
				pki.AuthorityCert, pki.AuthorityKey, args[0], authority.Cluster())
			return nil
		},
	}
	f.add(cmd.Flags(), pki.AuthorityValidity)
	return cmd
}

func newCAControl() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "create-control-certificate HOST...",
		Short: "Make a certificate for the control service",
		Long: "Makes a certificate for a control service that is reached under the given host names and IP\n" +
			"addresses. Name all of them: curl and other clients check the name that they dial.",
		Example: "  flocker ca create-control-certificate flocker.example.net 10.0.0.5",
		Args:    takes(cobra.MinimumNArgs(1), "the host names and IP addresses of the control service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			files, err := authority.ControlCertificate(f.out, args...)
			if err != nil {
				return err
			}
			f.created(cmd, files, "the control service", "control-service")
			return nil
		},
	}
	f.addInput(cmd.Flags())
	f.add(cmd.Flags(), pki.CertificateValidity)
	return cmd
}

func newCANode() *cobra.Command {
	var (
		f    caFlags
		node string
	)
	cmd := &cobra.Command{
		Use:   "create-node-certificate",
		Short: "Make a certificate, and with it an identity, for the agent of a node",
		Args:  takes(cobra.NoArgs, "nothing: a node's name is its new UUID"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			var files pki.Files
			if node == "" {
				node, files, err = authority.NodeCertificate(f.out)
			} else {
				files, err = authority.RenewNodeCertificate(f.out, node)
			}
			if err != nil {
				return err
			}
			f.created(cmd, files, "node "+node, "node")
			return nil
		},
	}
	cmd.Flags().StringVar(&node, "node", "", "UUID of a node whose certificate is renewed; a new node's by default")
	f.addInput(cmd.Flags())
	f.add(cmd.Flags(), pki.CertificateValidity)
	return cmd
}

func newCAUser() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "create-api-certificate NAME",
		Aliases: []string{"create-user-certificate"},
		Short:   "Make a certificate for a user of the REST API",
		Args:    takes(cobra.ExactArgs(1), "the user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			files, err := authority.UserCertificate(f.out, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Created %s and %s. %s calls the REST API with them and %s.\n",
				files.Cert, files.Key, args[0], pki.AuthorityCert)
			return nil
		},
	}
	f.addInput(cmd.Flags())
	f.add(cmd.Flags(), pki.CertificateValidity)
	return cmd
}

// created says what was made and where it belongs.
func (f *caFlags) created(cmd *cobra.Command, files pki.Files, owner, base string) {
	fmt.Fprintf(cmd.OutOrStdout(), "Created %s and %s for %s.\n"+
		"Install them there as /etc/flocker/%s.crt and /etc/flocker/%[4]s.key, beside %s, readable by root alone.\n",
		files.Cert, files.Key, owner, base, pki.AuthorityCert)
}
