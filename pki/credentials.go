package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Credentials are a program's certificate and key and the authority that it
// trusts. They are read anew when the files change, so a renewed certificate
// needs no restart; while new files do not fit together the old ones serve on.
type Credentials struct {
	role                        Role
	authFile, certFile, keyFile string
	now                         func() time.Time
	log                         *slog.Logger

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

// Load reads cluster.crt, base.crt and base.key in dir and sees that they
// belong together, are valid now and are made for role. Problems with files
// that change later go to log.
func Load(dir, base string, role Role, log *slog.Logger) (*Credentials, error) {
	return load(dir, base, role, log, time.Now)
}

func load(dir, base string, role Role, log *slog.Logger, now func() time.Time) (*Credentials, error) {
	c := &Credentials{
		role:     role,
		authFile: filepath.Join(dir, AuthorityCert),
		certFile: filepath.Join(dir, base+".crt"),
		keyFile:  filepath.Join(dir, base+".key"),
		now:      now,
		log:      log,
	}
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
	authority, err := readCert(c.authFile)
	if err != nil {
		return nil, err
	}
	pair, err := readPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	m := &material{pair: pair, authority: authority, roots: x509.NewCertPool()}
	m.roots.AddCert(authority)
	now := c.now()
	if err := checkDates(c.authFile, authority, now); err != nil {
		return nil, err
	}
	if err := checkDates(c.certFile, pair.Leaf, now); err != nil {
		return nil, err
	}
	if role, _, _ := Identity(pair.Leaf); role != c.role {
		return nil, fmt.Errorf("certificate %s is for %q; this program needs %s", c.certFile, pair.Leaf.Subject.CommonName, wanted(c.role))
	}
	if err := m.trusts(pair.Leaf, nil, x509.ExtKeyUsageAny, now); err != nil {
		return nil, fmt.Errorf("certificate %s does not come from the authority %s: %w", c.certFile, c.authFile, err)
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
	c.log.Info("certificate files read anew", "file", c.certFile, "expires", m.pair.Leaf.NotAfter)
	c.good = m
	return m
}

// own returns the program's certificate unless it has expired meanwhile: the
// other side would only say that it is bad.
func (c *Credentials) own() (*tls.Certificate, error) {
	m := c.current()
	if err := checkDates(c.certFile, m.pair.Leaf, c.now()); err != nil {
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
	for i, file := range []string{c.authFile, c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			s[i].size, s[i].mtime = info.Size(), info.ModTime()
		}
	}
	return s
}
