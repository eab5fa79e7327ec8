package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Config says where Marathon is and as whom it is asked. Secrets are in files,
// which are read anew whenever they are needed.
type Config struct {
	URLs []string // of all Marathons, or of what is in front of them

	// User has Marathon asked by basic authentication, with the password that is
	// in PasswordFile. With Login, the two get a token of DC/OS instead.
	User         string
	PasswordFile string

	// CAFile has the authorities that Marathon's certificate is checked by, ""
	// for the system's. CertFile and KeyFile are a client's certificate.
	CAFile, CertFile, KeyFile string

	// TokenFile has a token of DC/OS, which somebody else keeps fresh.
	TokenFile string
	// ServiceAccountFile has the secret of a service account of DC/OS.
	ServiceAccountFile string
	// Login is where DC/OS gives out tokens, "" for /acs/api/v1/auth/login at the
	// host of the first URL. It is asked with ServiceAccountFile, or with User
	// and PasswordFile where it is not "".
	Login string

	Timeout time.Duration // of a call, 0 for DefaultTimeout
	Silence time.Duration // of the stream of events until it counts as dead, 0 for DefaultSilence
}

// The defaults.
const (
	DefaultTimeout = 30 * time.Second
	// DefaultSilence is six of the blank lines that Marathon sends every 10 s. While
	// Marathon cuts off another reader that is too slow, none may come for half a minute.
	DefaultSilence = time.Minute
)

// Validate reports every mistake in c, each as an *api.Error whose field is one of
// the keys of control.yml.
func (c *Config) Validate() error {
	var mistakes []error
	mistake := func(field, format string, args ...any) {
		mistakes = append(mistakes, api.FieldErrorf(field, format, args...))
	}
	if len(c.URLs) == 0 {
		mistake("marathon", "is missing: the URL of Marathon, such as http://10.0.0.11:8080")
	}
	for _, text := range c.URLs {
		if _, err := readURL(text); err != nil {
			mistake("marathon", "%v", err)
		}
	}
	if c.Login != "" {
		if _, err := readURL(c.Login); err != nil {
			mistake("marathon-login", "%v", err)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		mistake("marathon-cert-file", "goes with marathon-key-file: set both or none")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		mistake("marathon-user", "goes with marathon-password-file: set both or none")
	}
	ways := slices.DeleteFunc([]string{c.User, c.TokenFile, c.ServiceAccountFile}, func(s string) bool { return s == "" })
	if len(ways) > 1 {
		mistake("marathon-user", "is one way to be known to Marathon, marathon-token-file and marathon-service-account-file are others: choose one")
	}
	if c.Login != "" && c.User == "" && c.ServiceAccountFile == "" {
		mistake("marathon-login", "needs marathon-service-account-file, or marathon-user and marathon-password-file")
	}
	return errors.Join(mistakes...)
}

// readURL reads a URL of Marathon's. Secrets have no place in it, since it is
// shown.
func readURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", text)
	case u.User != nil:
		return nil, fmt.Errorf("the URL of host %s must not have a user in it: set marathon-user and marathon-password-file", u.Host)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not a URL such as http://10.0.0.11:8080 or https://dcos.example.net/service/marathon", text)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q must end with the path", text)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// tls reads the files of certificates.
func (c *Config) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the authorities of Marathon's certificate: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the authorities of Marathon's certificate: %s has no certificate", c.CAFile)
		}
	}
	if c.CertFile == "" {
		return cfg, nil
	}
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		return nil, fmt.Errorf("read the certificate for Marathon: %w", err)
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile) // it may have been renewed
		if err != nil {
			return nil, fmt.Errorf("read the certificate for Marathon: %w", err)
		}
		return &cert, nil
	}
	return cfg, nil
}

// secret reads a file with one secret.
func secret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if s := strings.TrimSpace(string(text)); s != "" {
		return s, nil
	}
	return "", fmt.Errorf("%s is empty", file)
}
