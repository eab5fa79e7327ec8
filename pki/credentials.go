package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Credentials are a program's certificate and key and the authority that it
// trusts. They are read anew when the files change, so a renewed certificate
// needs no restart; while new files do not fit together the old ones serve on.
type Credentials struct {
	roles []Role // one of which the certificate must have
	files Paths
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	good  *material
	tried stamp // what the files were when they were last read
}

// material is one consistent reading of the files.
type material struct {
	pair      tls.Certificate
	authority *x509.Certificate
	roots     *x509.CertPool
}

// Paths are where a program's certificate, its key and the authority's
// certificate are.
type Paths struct{ Authority, Cert, Key string }

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
	tried := c.stamp()
	m, err := c.read()
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

func (c *Credentials) read() (*material, error) {
	authority, err := readCert(c.files.Authority)
	if err != nil {
		return nil, err
	}
	pair, err := readPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, err
	}
	m := &material{pair: pair, authority: authority, roots: x509.NewCertPool()}
	m.roots.AddCert(authority)
	now := c.now()
	if err := checkDates(c.files.Authority, authority, now); err != nil {
		return nil, err
	}
	if err := checkDates(c.files.Cert, pair.Leaf, now); err != nil {
		return nil, err
	}
	if role, _, _ := Identity(pair.Leaf); !slices.Contains(c.roles, role) {
		return nil, fmt.Errorf("certificate %s is for %q; this program needs %s", c.files.Cert, pair.Leaf.Subject.CommonName, wantedAny(c.roles))
	}
	if err := m.trusts(pair.Leaf, nil, x509.ExtKeyUsageAny, now); err != nil {
		return nil, fmt.Errorf("certificate %s does not come from the authority %s: %w", c.files.Cert, c.files.Authority, err)
	}
	return m, nil
}

// current returns the newest good reading of the files.
func (c *Credentials) current() *material {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stamp()
	if s == c.tried {
		return c.good
	}
	c.tried = s
	m, err := c.read()
	if err != nil {
		c.log.Error("changed certificate files are not usable, the ones read before serve on", "error", err)
		return c.good
	}
	c.log.Info("certificate files read anew", "file", c.files.Cert, "expires", m.pair.Leaf.NotAfter)
	c.good = m
	return m
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

// stamp tells one state of the three files from another.
type stamp [3]struct {
	size  int64
	mtime time.Time
}

func (c *Credentials) stamp() stamp {
	var s stamp
	for i, file := range []string{c.files.Authority, c.files.Cert, c.files.Key} {
		if info, err := os.Stat(file); err == nil {
			s[i].size, s[i].mtime = info.Size(), info.ModTime()
		}
	}
	return s
}
