package pki

import (
	"crypto/x509"
	"encoding/asn1"
)

// readable returns a certificate with its extensions read. Flocker's flocker-ca
// wrote X.509 version 1 and extensions all the same, which Go, as it should,
// does not look at. What is returned is for reading alone: its signature is not
// of what it says.
func readable(cert *x509.Certificate) *x509.Certificate {
	if cert.Version >= 3 {
		return cert
	}
	var tbs asn1.RawValue
	if _, err := asn1.Unmarshal(cert.RawTBSCertificate, &tbs); err != nil {
		return cert
	}
	var whole struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &whole); err != nil {
		return cert
	}
	fields := tbs.Bytes
	var version asn1.RawValue
	if rest, err := asn1.Unmarshal(fields, &version); err == nil && version.Class == asn1.ClassContextSpecific && version.Tag == 0 {
		fields = rest // a lower version, spelled out
	}
	version3 := []byte{0xa0, 3, 2, 1, 2}
	body, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(version3, fields...)})
	if err != nil {
		return cert
	}
	whole.TBS = asn1.RawValue{FullBytes: body}
	der, err := asn1.Marshal(whole)
	if err != nil {
		return cert
	}
	full, err := x509.ParseCertificate(der)
	if err != nil {
		return cert // there were no extensions, or none that make sense
	}
	return full
}
