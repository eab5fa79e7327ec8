package pki

import (
	"crypto/x509"
	"fmt"
	"time"
)

// RoleAuthority is what an authority's certificate is shown as.
const RoleAuthority Role = "authority"

// Details are what a certificate says, for people.
type Details struct {
	File    string    `json:"file"`
	Role    Role      `json:"role"` // "" for none of ours
	Name    string    `json:"name"`
	Cluster string    `json:"cluster"` // UUID, "" for none
	Subject string    `json:"subject"`
	Issuer  string    `json:"issuer"`
	Serial  string    `json:"serial"`          // in hexadecimal
	Names   []string  `json:"names,omitempty"` // DNS names and IP addresses that it serves under
	From    time.Time `json:"valid_from"`
	To      time.Time `json:"valid_to"`
	Version int       `json:"version"` // of X.509
	Key     string    `json:"key"`
}

// Show reads all certificates of a file.
func Show(file string) ([]Details, error) {
	certs, err := readCerts(file)
	if err != nil {
		return nil, err
	}
	all := make([]Details, len(certs))
	for i, cert := range certs {
		all[i] = details(file, cert)
	}
	return all, nil
}

func details(file string, cert *x509.Certificate) Details {
	role, name, cluster := Identity(cert)
	full := readable(cert)
	if full.IsCA || role == "" && signedBy(cert, cert) {
		role = RoleAuthority
	}
	d := Details{
		File: file, Role: role, Name: name, Cluster: cluster,
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Serial: fmt.Sprintf("%x", cert.SerialNumber),
		From: cert.NotBefore.UTC(), To: cert.NotAfter.UTC(), Version: cert.Version, Key: keyText(cert.PublicKey),
	}
	d.Names = append(d.Names, full.DNSNames...)
	for _, ip := range full.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	return d
}
