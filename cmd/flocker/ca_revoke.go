package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/pki"
)

func newCARevoke() *cobra.Command {
	var (
		f   caFlags
		ask confirm.Prompt
	)
	cmd := &cobra.Command{
		Use:   "revoke FILE.crt|SERIAL...",
		Short: "Revoke certificates: control services refuse them and close their connections",
		Long: "Adds certificates, by their files or their serial numbers, to the authority's revocation list,\n" +
			"cluster.crl beside cluster.crt. Copy it to the certificates' directory of every control service:\n" +
			"each takes it up within seconds, and closes open connections, streams and watches of revoked\n" +
			"certificates. Serial numbers are hexadecimal, as `flocker ca show` and the control service's log have them.",
		Example: "  flocker ca revoke -i /root/flocker-ca node-7.crt\n" +
			"  flocker ca revoke -i /root/flocker-ca 5f0c2ab1d4",
		Args: usage.Takes(cobra.MinimumNArgs(1), "at least one certificate's file or serial number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.days = 1 // nothing is issued
			authority, err := f.authority()
			if err != nil {
				return err
			}
			var serials []*big.Int
			for _, arg := range args {
				serial, err := serialOf(authority, arg)
				if err != nil {
					return err
				}
				serials = append(serials, serial)
			}
			if err := sure(cmd, &ask, revocationLoss(args, serials)); err != nil {
				return err
			}
			file, added, err := authority.Revoke(serials...)
			if err != nil {
				return err
			}
			made(cmd, fmt.Sprintf("Revoked %d certificates in %s.", added, file),
				"Copy it to /etc/flocker of every control service as cluster.crl; mv changes it in one step.")
			return nil
		},
	}
	f.addInput(cmd.Flags())
	ask.AddFlag(cmd.Flags())
	return cmd
}

// revocationLoss lists the certificates that will be refused for ever.
func revocationLoss(args []string, serials []*big.Int) string {
	var text strings.Builder
	text.WriteString("A revocation cannot be taken back. Control services will refuse these certificates and close their connections:\n")
	for i, arg := range args {
		fmt.Fprintf(&text, "  %s, serial number %x\n", arg, serials[i])
	}
	return text.String()
}

// serialOf returns the serial number that a file's certificate has, or a text is.
func serialOf(authority *pki.Authority, arg string) (*big.Int, error) {
	text, err := os.ReadFile(arg)
	if errors.Is(err, fs.ErrNotExist) {
		serial, ok := new(big.Int).SetString(strings.ReplaceAll(arg, ":", ""), 16)
		if !ok || serial.Sign() <= 0 {
			return nil, usage.Errorf("%q is neither a certificate's file nor a hexadecimal serial number", arg)
		}
		return serial, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("certificate %s: holds no PEM text", arg)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", arg, err)
	}
	if !authority.Signed(cert) {
		return nil, fmt.Errorf("certificate %s: authority %s did not issue it, so it cannot revoke it: use the authority that did", arg, authority.Name())
	}
	return cert.SerialNumber, nil
}
