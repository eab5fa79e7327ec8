package consul

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Scheme begins the URL of a log in Consul.
const Scheme = "consul"

// Settings say where a log is and how Consul is talked to. What they do not
// say, the usual variables do: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN,
// CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL, CONSUL_CACERT, CONSUL_CLIENT_CERT,
// CONSUL_CLIENT_KEY and so on.
type Settings struct {
	// Addresses are host:port of Consul's HTTP API. One is used, and the next
	// when it fails. Usually it is one alone, of the Consul agent on this
	// machine, which finds the servers by itself.
	Addresses []string
	// Prefix is the folder of the log, without a slash at its ends.
	Prefix     string
	Datacenter string
	// TLS is set by files too.
	TLS           bool
	TokenFile     string // is read again when it changes
	CAFile        string
	CertFile      string
	KeyFile       string
	TLSServerName string
}

// options are the URL's, and where they go.
func (s *Settings) options() map[string]*string {
	return map[string]*string{
		"datacenter": &s.Datacenter, "token-file": &s.TokenFile, "ca-file": &s.CAFile,
		"cert-file": &s.CertFile, "key-file": &s.KeyFile, "tls-server-name": &s.TLSServerName,
	}
}

// Parse reads settings from a URL,
//
//	consul://HOST:PORT[,HOST:PORT...]/PREFIX[?datacenter=NAME&token-file=FILE&tls=true&ca-file=FILE
//	&cert-file=FILE&key-file=FILE&tls-server-name=NAME]
func Parse(text string) (Settings, error) {
	var s Settings
	rest, ok := strings.CutPrefix(text, Scheme+"://")
	if !ok {
		return s, fmt.Errorf("%q is not %s://HOST:PORT/PREFIX", Redacted(text), Scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, prefix, _ := strings.Cut(rest, "/")
	s.Prefix = strings.TrimSuffix(prefix, "/")
	if hosts != "" {
		s.Addresses = strings.Split(hosts, ",")
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return s, fmt.Errorf("options of %s: %w", s, err)
	}
	known := s.options()
	for name, values := range options {
		switch field := known[name]; {
		case len(values) != 1 || values[0] == "":
			return s, fmt.Errorf("option %s of %s: give it one value", name, s)
		case field != nil:
			*field = values[0]
		case name == "tls" && values[0] == "true":
			s.TLS = true
		default:
			// Its value may be a secret that was written into the wrong place.
			return s, fmt.Errorf("option %s of %s is unknown, or its value is", name, s)
		}
	}
	return s, s.Validate()
}

// Redacted returns the text of a store without what may be a secret in it: options,
// and a user with a password.
func Redacted(text string) string {
	if before, _, found := strings.Cut(text, "?"); found {
		text = before + "?..."
	}
	if i := strings.LastIndex(text, "@"); i >= 0 {
		text = text[:strings.LastIndex(text[:i], "/")+1] + "..." + text[i:]
	}
	return text
}

// Validate reports every mistake in s.
func (s Settings) Validate() error {
	var mistakes []error
	for _, address := range s.Addresses {
		if strings.Contains(address, "@") {
			mistakes = append(mistakes, errors.New("address of Consul: it must not have a user or a password in it: token-file names the file of a token"))
			continue
		}
		if host, port, err := net.SplitHostPort(address); err != nil {
			mistakes = append(mistakes, fmt.Errorf("address of Consul: %w", err))
		} else if host == "" || port == "" {
			mistakes = append(mistakes, fmt.Errorf("address of Consul: %q is not HOST:PORT", address))
		}
	}
	if err := checkPrefix(s.Prefix); err != nil {
		mistakes = append(mistakes, err)
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		mistakes = append(mistakes, errors.New("cert-file and key-file belong together"))
	}
	return errors.Join(mistakes...)
}

// String returns the URL without its options, for texts.
func (s Settings) String() string {
	return Redacted(Scheme + "://" + strings.Join(s.Addresses, ",") + "/" + s.Prefix)
}
