package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Severity says whether a finding keeps something from working.
type Severity string

// The severities.
const (
	Problem Severity = "error"
	Warning Severity = "warning"
)

// Finding is something about a certificate that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Rule     string   `json:"rule"` // as docs/certificates.md lists them
	Is       string   `json:"is"`
	Do       string   `json:"do"`
}

// The rules.
const (
	RuleFile      = "file"      // can be read
	RuleChain     = "chain"     // comes from cluster.crt
	RuleVersion   = "version"   // X.509 version 3
	RuleRole      = "role"      // the common name
	RuleCluster   = "cluster"   // the organizational unit
	RuleNames     = "names"     // that the control service is dialled by
	RuleUsage     = "usage"     // what the key may be used for
	RuleKey       = "key"       // is strong, and the certificate's
	RuleSignature = "signature" // is made with a hash that holds
	RuleDates     = "dates"     // is valid now
	RuleMode      = "mode"      // nobody else can read the key
	RuleAuthority = "authority" // may sign certificates
)

// ExpiryWarning is how long before the end of a certificate one is warned of it.
const ExpiryWarning = 30 * 24 * time.Hour

// CheckOptions say what certificates are checked against.
type CheckOptions struct {
	Authority string    // the file cluster.crt
	Hosts     []string  // that clients dial the control service by
	Now       time.Time // zero for now
}

// Check checks certificates, of whatever PKI, against the rules: the authority's
// first, and then each file with the key beside it.
func Check(files []string, o CheckOptions) []Finding {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	c := &checker{CheckOptions: o, file: o.Authority}
	c.authority()
	for _, file := range files {
		if filepath.Clean(file) != filepath.Clean(o.Authority) {
			c.file = file
			c.certificate()
		}
	}
	return c.findings
}

// checker collects findings about the file that it is at.
type checker struct {
	CheckOptions
	file     string
	trusted  material
	findings []Finding
}

func (c *checker) add(severity Severity, rule, do, is string, args ...any) {
	c.findings = append(c.findings, Finding{Severity: severity, File: c.file, Rule: rule, Is: fmt.Sprintf(is, args...), Do: do})
}

func (c *checker) problem(rule, do, is string, args ...any) { c.add(Problem, rule, do, is, args...) }

func (c *checker) warn(rule, do, is string, args ...any) { c.add(Warning, rule, do, is, args...) }

// unreadable notes why a file cannot be read.
func (c *checker) unreadable(err error) {
	do := "put the certificate there in PEM text"
	if errors.Is(err, fs.ErrPermission) {
		do = "run this as the user whom the file belongs to"
	}
	c.problem(RuleFile, do, "%v", err)
}

func (c *checker) authority() {
	certs, err := readCerts(c.file)
	c.trusted.roots = x509.NewCertPool()
	if err != nil {
		c.unreadable(err)
		return
	}
	c.trusted.authorities = certs
	usable := 0
	for _, cert := range certs {
		c.trusted.roots.AddCert(cert)
		c.strength(cert)
		c.oneAuthority(cert)
		if checkDates(c.file, cert, c.Now) == nil {
			usable++
		}
	}
	// One that has expired does no harm beside one that has not.
	for _, cert := range certs {
		if usable == 0 || c.Now.Before(cert.NotAfter) {
			c.dates(cert, "`flocker ca renew-authority`, and give the new cluster.crt to every machine")
		}
	}
	if clusters := clustersOf(certs); len(clusters) > 1 {
		c.problem(RuleCluster, "take out what is another cluster's", "has authorities of %d clusters: %s", len(clusters), strings.Join(clusters, ", "))
	}
	key := strings.TrimSuffix(c.file, ".crt") + ".key"
	if _, err := os.Stat(key); err == nil {
		c.mode(key)
	}
}

// clustersOf returns the clusters that authorities name.
func clustersOf(certs []*x509.Certificate) []string {
	var all []string
	for _, cert := range certs {
		if cluster := clusterOf(cert); uuidText.MatchString(cluster) && !slices.Contains(all, cluster) {
			all = append(all, cluster)
		}
	}
	return all
}

func (c *checker) oneAuthority(cert *x509.Certificate) {
	name := cert.Subject.CommonName
	if !signedBy(cert, cert) {
		c.warn(RuleAuthority, "put intermediates into the files of the certificates that they have signed, behind them; cluster.crt has roots alone",
			"%q is signed by %q and not by itself: OpenSSL's clients do not trust it", name, cert.Issuer.CommonName)
	}
	if cert.Version < 3 {
		c.warn(RuleVersion, "`flocker ca renew-authority` makes it anew with the same key; all that it has signed stays valid",
			"the authority %q is X.509 version %d: Python 3.13 and whoever else verifies strictly refuses it", name, cert.Version)
		return
	}
	if !cert.BasicConstraintsValid || !cert.IsCA {
		c.problem(RuleAuthority, "make it with basicConstraints=critical,CA:TRUE", "%q may not sign certificates: basicConstraints does not say CA:TRUE", name)
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		c.problem(RuleAuthority, "make it with keyUsage=critical,keyCertSign,cRLSign", "%q may not sign certificates: keyUsage lacks keyCertSign", name)
	}
	if cert.KeyUsage == 0 || len(cert.SubjectKeyId) == 0 {
		c.warn(RuleAuthority, "make it with keyUsage=critical,keyCertSign,cRLSign and subjectKeyIdentifier=hash",
			"%q has no key usage or no subject key identifier: Python 3.13 and whoever else verifies strictly refuses it", name)
	}
}

// strength checks the key and the signature of a certificate.
func (c *checker) strength(cert *x509.Certificate) {
	if err := weakKey(cert.PublicKey); err != nil {
		c.problem(RuleKey, "make another key, and a certificate for it", "%s: %v", cert.Subject.CommonName, err)
	}
	if weakSignature(cert) {
		c.problem(RuleSignature, "sign it with SHA-256", "%s: is signed with %s", cert.Subject.CommonName, cert.SignatureAlgorithm)
	}
}

// dates checks when a certificate is valid.
func (c *checker) dates(cert *x509.Certificate, renew string) {
	switch left := cert.NotAfter.Sub(c.Now); {
	case left < 0:
		c.problem(RuleDates, renew, "%s: expired on %s", cert.Subject.CommonName, day(cert.NotAfter))
	case c.Now.Before(cert.NotBefore):
		c.problem(RuleDates, "set the clock, or wait", "%s: is valid only from %s on, and it is %s here",
			cert.Subject.CommonName, day(cert.NotBefore), day(c.Now))
	case left < ExpiryWarning:
		c.warn(RuleDates, renew, "%s: ends on %s, in %d days", cert.Subject.CommonName, day(cert.NotAfter), int(left.Hours()/24))
	}
}

// mode checks that nobody else can read a key.
func (c *checker) mode(key string) {
	info, err := os.Stat(key)
	if err != nil {
		return // said elsewhere
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		severity := Problem
		if mode&0o007 == 0 {
			severity = Warning // a group may be meant
		}
		c.add(severity, RuleMode, "chmod 600 "+key, "the key %s has mode %04o: others can read or change it", key, mode)
	}
}

// certificate checks a certificate, the intermediates behind it, and its key.
func (c *checker) certificate() {
	certs, err := readCerts(c.file)
	if err != nil {
		c.unreadable(err)
		return
	}
	cert := certs[0]
	full := readable(cert)
	if full.IsCA && cert.Version >= 3 {
		c.problem(RuleChain, "put the certificate itself first, and the intermediates behind it", "the first certificate, %q, is an authority's", cert.Subject.CommonName)
		return
	}
	for _, one := range certs {
		c.strength(one)
		c.dates(one, "`flocker ca renew "+c.file+"`, or whatever your PKI has for it")
	}
	role, _, cluster := Identity(cert)
	c.identity(cert, role, cluster)
	c.chain(cert, certs[1:])
	c.usage(full, role)
	if role == RoleControl {
		c.control(cert, full)
	}
	if cert.Version >= 3 && len(cert.AuthorityKeyId) == 0 {
		c.warn(RuleChain, "make it with authorityKeyIdentifier=keyid", "does not say which key signed it (authorityKeyIdentifier): whoever verifies strictly refuses it")
	}
	c.pair()
}

// roleOf are the roles that files must have.
var roleOf = map[string]Role{ControlName + ".crt": RoleControl, "node.crt": RoleNode}

func (c *checker) identity(cert *x509.Certificate, role Role, cluster string) {
	cn := cert.Subject.CommonName
	if role == "" {
		c.problem(RuleRole, "make it with such a common name", "its common name %q is no role: want %s", cn, wantedAny(roles()))
	} else if want, ok := roleOf[filepath.Base(c.file)]; ok && role != want {
		c.problem(RuleRole, "put the right certificate there", "is for %q; whoever reads this file needs %s", cn, wanted(want))
	}
	if units := cert.Subject.OrganizationalUnit; !uuidText.MatchString(cluster) {
		c.problem(RuleCluster, "make it with exactly one OU, the cluster's UUID", "its organizational units are %q; want exactly one, the cluster's UUID", units)
		return
	}
	for _, named := range clustersOf(c.trusted.authorities) {
		if named != cluster {
			c.problem(RuleCluster, "use a certificate and a cluster.crt of one cluster", "belongs to cluster %q, and the authority to %q", cluster, named)
		}
	}
}

func (c *checker) chain(cert *x509.Certificate, between []*x509.Certificate) {
	if len(c.trusted.authorities) == 0 {
		return // said already
	}
	// Within its own time: dates are another rule.
	at := c.Now
	if at.After(cert.NotAfter) || at.Before(cert.NotBefore) {
		at = cert.NotAfter
	}
	_, err := c.trusted.chains(cert, between, x509.ExtKeyUsageAny, at)
	if err == nil {
		return
	}
	do := "use the cluster.crt that it was made with"
	if len(between) == 0 {
		do += "; or, where an intermediate has signed it, put that into the file behind it"
	}
	c.problem(RuleChain, do, "made by %q, does not come from the authority %s: %v", cert.Issuer.CommonName, c.Authority, err)
}

// usage checks what the key may be used for, where a certificate says so.
func (c *checker) usage(cert *x509.Certificate, role Role) {
	want, name := x509.ExtKeyUsageClientAuth, "clientAuth"
	if role == RoleControl {
		want, name = x509.ExtKeyUsageServerAuth, "serverAuth"
	}
	if usages := cert.ExtKeyUsage; len(usages)+len(cert.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(usages, want) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		c.problem(RuleUsage, "make it with extendedKeyUsage="+name+", or without", "its extended key usage lacks %s", name)
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		c.problem(RuleUsage, "make it with keyUsage=digitalSignature, or without", "its key usage lacks digitalSignature, which TLS needs")
	}
}

// control checks what a control service's certificate needs beyond others.
func (c *checker) control(cert, full *x509.Certificate) {
	if cert.Version < 3 {
		c.warn(RuleVersion, "`flocker ca renew "+c.file+"` makes it anew with the same key and names",
			"is X.509 version %d: Flocker's agents and command line accept it by its role alone, and clients in Go do not at all", cert.Version)
	}
	if err := full.VerifyHostname(ControlName); err != nil {
		c.problem(RuleNames, "make it with the subjectAltName DNS:"+ControlName, "is not for the name %s, which Flocker's own clients ask for", ControlName)
	}
	for _, host := range c.Hosts {
		if err := full.VerifyHostname(host); err != nil {
			kind := "DNS:"
			if net.ParseIP(host) != nil {
				kind = "IP:"
			}
			c.problem(RuleNames, "make it with the subjectAltName "+kind+host+" too", "is not for %s, which clients dial", host)
		}
	}
	if len(full.DNSNames)+len(full.IPAddresses) < 2 && len(c.Hosts) == 0 {
		c.warn(RuleNames, "make it with every name and address that clients dial as a subjectAltName",
			"is for %s alone: curl and other clients check the name that they dial", ControlName)
	}
}

// pair checks the key beside a certificate.
func (c *checker) pair() {
	key := strings.TrimSuffix(c.file, ".crt") + ".key"
	if _, err := readPair(c.file, key); err != nil {
		severity, do := Problem, "put the key that the certificate was made for there"
		if errors.Is(err, fs.ErrNotExist) {
			severity, do = Warning, "put it there, if a program of this machine is to use the certificate"
		}
		c.add(severity, RuleKey, do, "%v", err)
		if severity == Warning {
			return
		}
	}
	c.mode(key)
}

// CheckServer checks what a control service shows. State is a connection to it,
// which need not have been accepted by it, and host what was dialled.
func CheckServer(state tls.ConnectionState, host string, o CheckOptions) []Finding {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	c := &checker{CheckOptions: o, file: o.Authority}
	c.authority()
	c.findings = nil // said with the files
	c.file, c.Hosts = host, append(slices.Clone(o.Hosts), host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		c.Hosts[len(c.Hosts)-1] = h
	}
	certs := state.PeerCertificates
	if len(certs) == 0 {
		c.problem(RuleFile, "see what listens there", "shows no certificate")
		return c.findings
	}
	cert := certs[0]
	full := readable(cert)
	for _, one := range certs {
		c.strength(one)
		c.dates(one, "renew the certificate of that control service")
	}
	role, _, cluster := Identity(cert)
	if role != RoleControl {
		c.problem(RuleRole, "see what listens there", "shows a certificate of %q; want %s", cert.Subject.CommonName, wanted(RoleControl))
	}
	c.identity(cert, role, cluster)
	c.chain(cert, certs[1:])
	c.usage(full, RoleControl)
	c.control(cert, full)
	return c.findings
}
