package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/pki"
)

func newCARenew() *cobra.Command {
	var (
		f caFlags
		o pki.RenewOptions
	)
	cmd := &cobra.Command{
		Use:   "renew FILE.crt...",
		Short: "Make certificates anew from the old ones",
		Long: "Makes certificates of the control service, of nodes and of users anew: same subject, same\n" +
			"names and, unless --new-key is given, the same key, so that the authority's machine needs the\n" +
			"certificate alone. The new one takes the old one's place in one step, and the old one is kept\n" +
			"as FILE.crt.old; with -o it is written elsewhere. Programs take it up without a restart.",
		Example: "  flocker ca renew -i /root/flocker-ca /etc/flocker/control-service.crt\n" +
			"  flocker ca renew *.crt -o renewed",
		Args: usage.Takes(cobra.MinimumNArgs(1), "at least one certificate's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = f.out
			authority, err := f.authority()
			if err != nil {
				return err
			}
			for _, file := range args {
				r, err := authority.Renew(file, o)
				if err != nil {
					return err
				}
				renewed(cmd, r)
				if r.Short {
					fmt.Fprintf(cmd.ErrOrStderr(), "It ends with its authority; `flocker ca renew-authority` gives that a longer life.\n")
				}
			}
			return nil
		},
	}
	f.addInput(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "outputpath", "o", "", "directory to write to; by default the new ones take the old ones' place")
	flags.BoolVar(&o.NewKey, "new-key", false, "make a new key too")
	flags.StringVar(&f.key, "key", "", "kind of the new key: ecdsa (P-256) or rsa (4096 bits); by default the old one's")
	flags.IntVar(&f.days, "days", int(pki.CertificateValidity/day), "days that the certificate is valid for")
	return cmd
}

func renewed(cmd *cobra.Command, r pki.Renewal) {
	key := "with the same key"
	if r.Files.Key != "" {
		key = "with a new key, " + r.Files.Key
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Renewed %s of the %s %s: valid until %s instead of %s, %s.\n", r.Files.Cert, r.Role, r.Name,
		dayOf(r.Ends), dayOf(r.Was), key)
	if len(r.Old) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "The old one is kept: %s.\n", strings.Join(r.Old, ", "))
	}
}

// addAuthority adds what the commands about the authority itself have.
func (f *caFlags) addAuthority(cmd *cobra.Command) {
	f.addInput(cmd.Flags())
	cmd.Flags().IntVar(&f.days, "days", int(pki.AuthorityValidity/day), "days that the authority is valid for")
}

func newCARenewAuthority() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "renew-authority",
		Short: "Give the authority a longer life, with the same key and name",
		Long: "Makes the authority's certificate anew, with the same key and name and a longer life. All that it\n" +
			"has signed stays valid, with the old cluster.crt as with the new one: give the new one to every\n" +
			"machine and user before the old one ends. An authority of X.509 version 1 becomes one of version 3.",
		Args: usage.Takes(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			was := authority.Ends()
			old, err := authority.Extend()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Renewed the authority %s: valid until %s instead of %s. The old certificate is kept: %s.\n"+
				"Give cluster.crt to every machine and user; nothing else changes. Certificates that ended with the authority can now be\n"+
				"renewed for longer: flocker ca renew.\n", authority.Name(), dayOf(authority.Ends()), dayOf(was), old)
			return nil
		},
	}
	f.addAuthority(cmd)
	return cmd
}

func newCAReplaceAuthority() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "replace-authority [NAME]",
		Short: "Begin to move the cluster to an authority with a new key",
		Long: "Makes a new authority of the same cluster, which signs from now on, and writes both into\n" +
			"cluster.crt. NAME is the new one's; by default the old one's with a number. Then, in this order:\n" +
			"  1. give cluster.crt to every machine and user; they then trust both;\n" +
			"  2. renew every certificate with flocker ca renew, and install it;\n" +
			"  3. flocker ca retire-authority, and give cluster.crt to everybody once more.\n" +
			"At no moment do two of them not trust each other.",
		Args: usage.Takes(cobra.MaximumNArgs(1), "at most one name, of the new authority"),
		RunE: func(cmd *cobra.Command, args []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			before := authority.Name()
			old, err := authority.Replace(strings.Join(args, ""))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Made the authority %s, which signs from now on; cluster.crt has it and %s. The old files are kept: %s.\n"+
				"Give cluster.crt to every machine and user first. Renew certificates only when all of them have it.\n",
				authority.Name(), before, strings.Join(old, ", "))
			return nil
		},
	}
	f.addAuthority(cmd)
	cmd.Flags().StringVar(&f.key, "key", "", "kind of the new key: ecdsa (P-256) or rsa (4096 bits); by default the old one's")
	return cmd
}

func newCARetireAuthority() *cobra.Command {
	var (
		f     caFlags
		force bool
	)
	cmd := &cobra.Command{
		Use:   "retire-authority",
		Short: "End the move to a new authority: the old one is trusted no more",
		Long: "Takes the old authority out of cluster.crt. Programs with the new file do not accept what the old one has\n" +
			"signed. It is refused while a certificate in the authority's directory was not renewed; look at the\n" +
			"machines and users too, with flocker ca show or the metric flocker_certificate_expiry_timestamp_seconds,\n" +
			"which names the authority.",
		Args: usage.Takes(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.days = 1 // it signs nothing
			authority, err := f.authority()
			if err != nil {
				return err
			}
			retired, old, err := authority.Retire(force)
			if _, ok := errors.AsType[*pki.LeftBehindError](err); ok {
				err = fmt.Errorf("%w; --force retires the old authority all the same", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Retired the authority %s; cluster.crt has %s alone. The old file is kept: %s.\n"+
				"Give cluster.crt to every machine and user.\n", strings.Join(retired, ", "), authority.Name(), old)
			return nil
		},
	}
	f.addInput(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "also while certificates in the directory have not been renewed")
	return cmd
}
