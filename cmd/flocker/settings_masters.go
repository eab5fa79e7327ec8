package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/isolator/masters"
)

// mastersSettings say where the masters of Mesos are, and who asks them.
type mastersSettings struct {
	URLs         commaList     `yaml:"mesos-masters"`
	User         string        `yaml:"mesos-user"`
	PasswordFile string        `yaml:"mesos-password-file"`
	CAFile       string        `yaml:"mesos-ca-file"`
	CertFile     string        `yaml:"mesos-cert-file"`
	KeyFile      string        `yaml:"mesos-key-file"`
	Interval     time.Duration `yaml:"mesos-interval"`
	MaxAnswer    string        `yaml:"mesos-max-answer"`
}

// commaList is a list that may be written as one text, with commas.
type commaList []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *commaList) UnmarshalText(text []byte) error { //nolint:unparam // the interface has the error
	*l = commaList(readReplicas(string(text)))
	return nil
}

// String writes it as UnmarshalText reads it.
func (l commaList) String() string { return strings.Join(l, ",") }

func defaultMastersSettings() mastersSettings {
	return mastersSettings{Interval: masters.DefaultInterval, MaxAnswer: api.FormatSize(masters.DefaultMaxAnswer)}
}

// Bounds of what makes sense.
const (
	minMesosInterval = 100 * time.Millisecond // for tests
	maxMesosInterval = 10 * time.Minute
	minMesosAnswer   = 1 << 20
)

// validate says which setting is wrong, and what would be right.
func (s mastersSettings) validate() error {
	for _, u := range s.URLs {
		if err := masters.CheckURL(u); err != nil {
			return api.FieldErrorf("mesos-masters", "%v", err)
		}
	}
	switch {
	case (s.User == "") != (s.PasswordFile == ""):
		return api.FieldErrorf("mesos-password-file", "mesos-user and mesos-password-file belong together: only one of them is set")
	case (s.CertFile == "") != (s.KeyFile == ""):
		return api.FieldErrorf("mesos-key-file", "mesos-cert-file and mesos-key-file belong together: only one of them is set")
	case s.Interval < minMesosInterval || s.Interval > maxMesosInterval:
		return api.FieldErrorf("mesos-interval", "%s is not between %s and %s", s.Interval, minMesosInterval, maxMesosInterval)
	}
	if size, err := api.ParseSize(s.MaxAnswer); err != nil || size < minMesosAnswer {
		return api.FieldErrorf("mesos-max-answer", "%q is not a size of at least 1MiB, such as 512MiB", s.MaxAnswer)
	}
	return nil
}

// watcher returns who asks the masters, nil where none are named.
func (s mastersSettings) watcher(log *slog.Logger) (*masters.Watcher, error) {
	if len(s.URLs) == 0 {
		return nil, nil
	}
	size, err := api.ParseSize(s.MaxAnswer)
	if err != nil {
		return nil, api.FieldErrorf("mesos-max-answer", "%v", err)
	}
	config, err := s.tls()
	if err != nil {
		return nil, err
	}
	o := masters.Options{URLs: s.URLs, Username: s.User, Password: s.password, TLS: config, Interval: s.Interval, MaxAnswer: size}
	if s.User != "" {
		if _, err := s.password(); err != nil {
			return nil, api.FieldErrorf("mesos-password-file", "%v", err)
		}
	}
	c, err := masters.New(o)
	if err != nil {
		return nil, api.FieldErrorf("mesos-masters", "%v", err)
	}
	return masters.NewWatcher(c, log, fault.Now), nil
}

// password reads the password. It is read at every call, so that it can be
// changed without a restart.
func (s mastersSettings) password() (string, error) {
	return readPassword(s.PasswordFile)
}

// readPassword reads the password in a file.
func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return password, nil
}

func (s mastersSettings) tls() (*tls.Config, error) {
	config, err := trusting("mesos-ca-file", s.CAFile)
	if err != nil {
		return nil, err
	}
	if s.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, api.FieldErrorf("mesos-cert-file", "%v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// trusting returns TLS settings with the authorities of a file, those of the
// system for none. The field names the setting.
func trusting(field, file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, api.FieldErrorf(field, "%v", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, api.FieldErrorf(field, "%s has no certificate in it", file)
	}
	return config, nil
}
