package masters

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The defaults of Options.
const (
	DefaultInterval = 15 * time.Second
	// DefaultMaxAnswer bounds an answer and a frame of a stream, in bytes. Ten
	// thousand tasks take about twenty million.
	DefaultMaxAnswer = 512 << 20
)

// Options say where the masters are, and who asks.
type Options struct {
	// URLs are of the masters, such as http://10.0.0.1:5050. Any of them leads to
	// the leading one.
	URLs     []string
	Username string // of Mesos' --http_credentials, "" for none
	// Password returns the password. It is asked at every call, so that the
	// password can change.
	Password func() (string, error)
	TLS      *tls.Config   // for https, nil for the system's authorities
	Interval time.Duration // from one question to the next, 0 for DefaultInterval
	// MaxAnswer bounds an answer and a frame of a stream in bytes, 0 for
	// DefaultMaxAnswer.
	MaxAnswer int64
}

// CheckURL says what is wrong with the URL of a master.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL such as http://10.0.0.1:5050: %w", text, errors.Unwrap(err))
	case strings.HasPrefix(u.Scheme, "zk"):
		return nil, fmt.Errorf("%q is an address of ZooKeeper: name the masters themselves, such as http://10.0.0.1:5050", text)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not a URL such as http://10.0.0.1:5050", text)
	case u.User != nil:
		return nil, fmt.Errorf("%q has a user in it: a user and a file with the password are settings of their own", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has more in it than a host and a path", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

// complete checks the options and sets what has defaults.
func (o *Options) complete() ([]*url.URL, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("no URL of a Mesos master is given")
	}
	if o.Username != "" && o.Password == nil {
		return nil, fmt.Errorf("the user %s has no password", o.Username)
	}
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	o.MaxAnswer = cmp.Or(o.MaxAnswer, DefaultMaxAnswer)
	bases := make([]*url.URL, 0, len(o.URLs))
	for _, text := range o.URLs {
		u, err := parseURL(text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(bases, func(b *url.URL) bool { return *b == *u }) {
			bases = append(bases, u)
		}
	}
	return bases, nil
}
