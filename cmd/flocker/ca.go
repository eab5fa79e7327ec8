package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/cli/usage"
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
		return pki.Options{}, usage.Errorf("--days %d: want a number from 1 to 36500", f.days)
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

// newCA makes the command of the certificate authority. It is one of flocker's,
// and by the name flocker-ca a whole program, as it was in Flocker.
func newCA() *cobra.Command {
	return usage.Group(&cobra.Command{
		Use:   "ca",
		Short: "Make, renew and check the certificates of a cluster",
		Long: "Makes the certificate authority of a cluster and certificates for the control service, the\n" +
			"nodes and the users; renews and revokes them, renews the authority; and checks those of any other PKI. New\n" +
			"files have mode 0600, and none is overwritten: a renewal keeps the old one as .old.",
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true}, // for when it is a program of its own
	}, newCAInitialize(), newCAControl(), newCANode(), newCAUser(), newCARenew(), newCARenewAuthority(), newCAReplaceAuthority(),
		newCARetireAuthority(), newCARevoke(), newCAShow(), newCACheck())
}

// made says what was made. The one line on standard output is Flocker's: scripts
// read the name out of it. What else helps goes to standard error.
func made(cmd *cobra.Command, line, hint string, args ...any) {
	fmt.Fprintln(cmd.OutOrStdout(), line)
	fmt.Fprintf(cmd.ErrOrStderr(), hint+"\n", args...)
}

func newCAInitialize() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "initialize NAME",
		Short:   "Make the authority of a new cluster: cluster.crt and cluster.key",
		Example: "  flocker ca initialize mycluster -o /root/flocker-ca",
		Args:    usage.Takes(cobra.ExactArgs(1), "one cluster's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := f.options()
			if err != nil {
				return err
			}
			authority, err := pki.Initialize(f.out, args[0], opts)
			if err != nil {
				return err
			}
			made(cmd, "Created cluster.key and cluster.crt. Please keep cluster.key secret, as anyone who can access it will be able to "+
				"control your cluster.",
				"They are in %s, for cluster %s (%s), until %s. Every machine of the cluster gets cluster.crt, and none cluster.key.",
				f.out, args[0], authority.Cluster(), dayOf(authority.Ends()))
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
		Args:    usage.Takes(cobra.MinimumNArgs(1), "at least one host name or IP address of the control service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			files, err := authority.ControlCertificate(f.out, args...)
			if err != nil {
				return err
			}
			made(cmd, "Created "+filepath.Base(files.Cert)+". Copy it over to /etc/flocker/control-service.crt on your control service "+
				"machine, and make sure to chmod 0600 it.", installHint, files.Key, "control-service", until(files))
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
		Args:  usage.Takes(cobra.NoArgs, "no arguments (a node's name is its new UUID)"),
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
			made(cmd, "Created "+filepath.Base(files.Cert)+". Copy it over to /etc/flocker/node.crt on your node machine, and make sure to "+
				"chmod 0600 it.", installHint, files.Key, "node", until(files))
			return nil
		},
	}
	cmd.Flags().StringVar(&node, "node", "", "UUID of a node that has lost its certificate; a new node's by default")
	f.addInput(cmd.Flags())
	f.add(cmd.Flags(), pki.CertificateValidity)
	return cmd
}

func newCAUser() *cobra.Command {
	var (
		f        caFlags
		readOnly bool
		tenant   bool
	)
	cmd := &cobra.Command{
		Use:     "create-api-certificate NAME",
		Aliases: []string{"create-user-certificate"},
		Short:   "Make a certificate for a user of the REST API",
		Args:    usage.Takes(cobra.ExactArgs(1), "one user's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			create, may := authority.UserCertificate, "do everything"
			switch {
			case readOnly && tenant:
				return usage.Errorf("--read-only and --tenant do not go together: a reader sees the volumes of all owners")
			case readOnly:
				create, may = authority.ReaderCertificate, "see everything and change nothing"
			case tenant:
				create, may = authority.TenantCertificate, "make and manage volumes of their own"
			}
			files, err := create(f.out, args[0])
			if err != nil {
				return err
			}
			made(cmd, "Created "+filepath.Base(files.Cert)+". You can now give it to your API enduser so they can access the control service API.",
				"Its key is %s; %s needs both, and cluster.crt. It lets them %s, until %s.", files.Key, args[0], may, until(files))
			return nil
		},
	}
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "for a user who may see everything and change nothing")
	cmd.Flags().BoolVar(&tenant, "tenant", false, "for a user that manages its own volumes only and is not an operator")
	f.addInput(cmd.Flags())
	f.add(cmd.Flags(), pki.CertificateValidity)
	return cmd
}

// installHint says what Flocker's own text leaves out.
const installHint = "Its key %s goes beside it as /etc/flocker/%s.key, readable by root alone, and so does cluster.crt. It is valid until %s."

// until returns the day on which a new certificate ends.
func until(files pki.Files) string {
	all, err := pki.Show(files.Cert)
	if err != nil {
		return "an unknown day" // it was only just written
	}
	return dayOf(all[0].To)
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }
