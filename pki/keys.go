package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// The weakest keys that do.
const (
	minRSABits   = 2048
	minCurveBits = 256
)

// weakKey says why a key is too weak, or of a kind that TLS does not take.
func weakKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("its key is %s; want RSA of %d bits or more, or ECDSA on P-256 or a larger curve", keyText(key), minRSABits)
		}
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < minCurveBits {
			return fmt.Errorf("its key is %s; want P-256 or a larger curve", keyText(key))
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("its key is a %s; want ECDSA on P-256 or a larger curve, or RSA of %d bits or more", keyText(key), minRSABits)
	}
	return nil
}

// keyText names a kind of key: "ECDSA P-256", "RSA 4096".
func keyText(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return fmt.Sprintf("%T", key)
	}
}

// weakSignature reports whether a certificate is signed with a hash that can
// be forged. Neither Go nor OpenSSL of today accepts it.
func weakSignature(cert *x509.Certificate) bool {
	switch cert.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1, x509.UnknownSignatureAlgorithm:
		return true
	default:
		return false
	}
}
