package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Credentials are a program's certificate and key and the authorities that it
// trusts. They are read anew when the files change, so a renewed certificate
// needs no restart; while new files do not fit together the old ones serve on.
type Credentials struct {
	roles []Role // one of which the certificate must have
	files Paths
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	good    *material
	tried   stamp  // what the files were when they were last read
	edition uint64 // counts the readings that found something else
}

// material is one consistent reading of the files.
type material struct {
	pair        tls.Certificate
	authorities []*x509.Certificate // all of cluster.crt
	roots       *x509.CertPool      // the same
	cluster     string              // UUID, as the program's own certificate has it
	revoked     revoked
	// authority is the one of those above the program's certificate that ends
	// first, and so ends it too.
	authority *x509.Certificate
}

// Paths are where a program's certificate, its key and the authority's
// certificate are. The list of revoked certificates, if there is one, is cluster.crl
// beside the authority's. The certificate's file may have intermediates behind it, the
// authority's several authorities.
type Paths struct{ Authority, Cert, Key string }

func (p Paths) revoked() string { return filepath.Join(filepath.Dir(p.Authority), RevokedList) }

// PathsIn returns cluster.crt, base.crt and base.key in dir.
func PathsIn(dir, base string) Paths {
	return Paths{filepath.Join(dir, AuthorityCert), filepath.Join(dir, base+".crt"), filepath.Join(dir, base+".key")}
}

// Load reads cluster.crt, base.crt and base.key in dir as LoadFiles does.
func Load(dir, base string, role Role, log *slog.Logger) (*Credentials, error) {
	return load(PathsIn(dir, base), log, time.Now, role)
}

// LoadFiles reads a certificate, its key and the authority's certificate and
// sees that they belong together, are valid now and are made for one of the
// roles. Problems with files that change later go to log.
func LoadFiles(files Paths, log *slog.Logger, roles ...Role) (*Credentials, error) {
	return load(files, log, time.Now, roles...)
}

func load(files Paths, log *slog.Logger, now func() time.Time, roles ...Role) (*Credentials, error) {
	c := &Credentials{roles: roles, files: files, now: now, log: log}
	m, tried, err := c.settled()
	if err != nil {
		return nil, err
	}
	c.good, c.tried = m, tried
	return c, nil
}

// Identity returns who the program is, as Identity the function does.
func (c *Credentials) Identity() (role Role, name, cluster string) {
	return Identity(c.current().pair.Leaf)
}

// Expires returns when the certificate or its authority ends.
func (c *Credentials) Expires() time.Time {
	m := c.current()
	if m.authority.NotAfter.Before(m.pair.Leaf.NotAfter) {
		return m.authority.NotAfter
	}
	return m.pair.Leaf.NotAfter
}

// readings is how often files are read that change while they are.
const readings = 10

// settled reads the files and returns what they were then. Where they have
// changed meanwhile, what was read may be of before and after: it reads again.
func (c *Credentials) settled() (m *material, tried stamp, err error) {
	for range readings {
		tried = c.stamp()
		if m, err = c.read(); err == nil || tried == c.stamp() {
			return m, tried, err
		}
	}
	return m, tried, err
}

func (c *Credentials) read() (*material, error) {
	authorities, err := readCerts(c.files.Authority)
	if err != nil {
		return nil, err
	}
	pair, err := readPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, err
	}
	m := &material{pair: pair, authorities: authorities, roots: x509.NewCertPool(), cluster: clusterOf(pair.Leaf)}
	for _, authority := range authorities {
		m.roots.AddCert(authority)
	}
	if m.revoked, err = readRevoked(c.files.revoked(), slices.Concat(authorities, between(pair))); err != nil {
		return nil, err
	}
	if m.revoked.has(pair.Leaf) {
		return nil, fmt.Errorf("certificate %s is revoked: %s", c.files.Cert, describe(pair.Leaf))
	}
	now := c.now()
	if err := checkDates(c.files.Cert, pair.Leaf, now); err != nil {
		return nil, err
	}
	if role, _, _ := Identity(pair.Leaf); !slices.Contains(c.roles, role) {
		return nil, fmt.Errorf("certificate %s is for %q; this program needs %s", c.files.Cert, pair.Leaf.Subject.CommonName, wantedAny(c.roles))
	}
	if !uuidText.MatchString(m.cluster) {
		return nil, fmt.Errorf("certificate %s of %q: its organizational units are %q; want exactly one, the cluster's UUID",
			c.files.Cert, pair.Leaf.Subject.CommonName, pair.Leaf.Subject.OrganizationalUnit)
	}
	chains, err := m.chains(pair.Leaf, between(pair), x509.ExtKeyUsageAny, now)
	if err != nil {
		// Where they all have expired that is the reason, and says more.
		if dated := m.anyValid(c.files.Authority, now); dated != nil {
			return nil, dated
		}
		return nil, fmt.Errorf("certificate %s does not come from the authority %s: %w", c.files.Cert, c.files.Authority, err)
	}
	if err := m.checkCluster(); err != nil {
		return nil, fmt.Errorf("certificate %s does not fit the authority %s: %w", c.files.Cert, c.files.Authority, err)
	}
	m.authority = lastToEnd(chains)
	return m, nil
}

// anyValid says why no authority can be used now, nil if one can.
func (m *material) anyValid(file string, now time.Time) (err error) {
	for _, authority := range m.authorities {
		if err = checkDates(file, authority, now); err == nil {
			return nil
		}
	}
	return err
}

// checkCluster compares the cluster with that of the authorities. Those that
// flocker ca makes are for one cluster and name it; others may name none.
func (m *material) checkCluster() error {
	named := ""
	for _, authority := range m.authorities {
		switch cluster := clusterOf(authority); {
		case cluster == m.cluster:
			return nil
		case uuidText.MatchString(cluster):
			named = cluster
		}
	}
	if named == "" {
		return nil
	}
	return fmt.Errorf("it belongs to cluster %q, and this is cluster %q", m.cluster, named)
}

// between returns the intermediates that a certificate's file has.
func between(pair tls.Certificate) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil { // they were read once already
			certs = append(certs, cert)
		}
	}
	return certs
}

// lastToEnd returns, of the chain that lives longest, what ends first above the
// certificate itself.
func lastToEnd(chains [][]*x509.Certificate) *x509.Certificate {
	var best *x509.Certificate
	for _, chain := range chains {
		above := chain[1:]
		if len(above) == 0 {
			above = chain // it is trusted itself
		}
		first := slices.MinFunc(above, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if best == nil || first.NotAfter.After(best.NotAfter) {
			best = first
		}
	}
	return best
}

// current returns the newest good reading of the files.
func (c *Credentials) current() *material {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stamp() == c.tried {
		return c.good
	}
	m, tried, err := c.settled()
	c.tried = tried
	if err == nil {
		if stale := m.revoked.follows(c.good.revoked, m.authorities); stale != nil {
			err = fmt.Errorf("revocation list %s: %w", c.files.revoked(), stale)
		}
	}
	if err != nil {
		c.log.Error("changed certificate files are not usable, the ones read before serve on", "error", err,
			"expires", c.good.pair.Leaf.NotAfter)
		c.revokeMore()
		return c.good
	}
	c.edition++
	if !m.same(c.good) {
		c.log.Info("certificate files read anew", "file", c.files.Cert, "serial", fmt.Sprintf("%x", m.pair.Leaf.SerialNumber),
			"expires", m.pair.Leaf.NotAfter, "authorities", names(m.authorities), "revoked", m.revoked.count())
	}
	c.good = m
	return m
}

// revokeMore takes in what the revocation list has more, while the other files are
// not usable: what is wrong with them must not keep a stolen certificate valid. The
// caller has the mutex.
func (c *Credentials) revokeMore() {
	more, err := readRevoked(c.files.revoked(), slices.Concat(c.good.authorities, between(c.good.pair)))
	if err != nil || more.follows(c.good.revoked, c.good.authorities) != nil || more.same(c.good.revoked) {
		return
	}
	with := *c.good
	with.revoked = more
	c.good = &with
	c.edition++
	c.log.Info("revocation list read anew", "file", c.files.revoked(), "revoked", more.count())
}

// same reports whether another reading found the same certificates.
func (m *material) same(other *material) bool {
	return m.pair.Leaf.Equal(other.pair.Leaf) &&
		slices.EqualFunc(m.authorities, other.authorities, func(a, b *x509.Certificate) bool { return a.Equal(b) }) &&
		m.revoked.same(other.revoked)
}

// names returns the common names of certificates, separated by commas.
func names(certs []*x509.Certificate) string {
	all := make([]string, len(certs))
	for i, cert := range certs {
		all[i] = cert.Subject.CommonName
	}
	return strings.Join(all, ", ")
}

// own returns the program's certificate unless it has expired meanwhile: the
// other side would only say that it is bad.
func (c *Credentials) own() (*tls.Certificate, error) {
	m := c.current()
	if err := checkDates(c.files.Cert, m.pair.Leaf, c.now()); err != nil {
		return nil, err
	}
	return &m.pair, nil
}

// stamp tells one state of the files from another. A new file may have
// size and time of the old one, but not its number.
type stamp [4]struct {
	size  int64
	inode uint64
	mtime time.Time
}

func (c *Credentials) stamp() stamp {
	var s stamp
	for i, file := range []string{c.files.Authority, c.files.Cert, c.files.Key, c.files.revoked()} {
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		s[i].size, s[i].mtime = info.Size(), info.ModTime()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			s[i].inode = stat.Ino
		}
	}
	return s
}
