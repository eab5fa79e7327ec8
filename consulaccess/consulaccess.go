// Package consulaccess is what all clients of Consul here have in common: a token
// that is read again when its file changes, and the word that a connection is not
// protected.
package consulaccess

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenHeader is where Consul expects the token.
const tokenHeader = "X-Consul-Token"

// Transport sends the token of a file with every request. The file is read again
// when it has changed; one that cannot be read, or is empty, leaves the token as
// it was.
type Transport struct {
	Base http.RoundTripper
	File string

	mu    sync.Mutex
	token string
	seen  stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	file     fs.FileInfo
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if token := t.current(); token != "" {
		req = req.Clone(req.Context())
		req.Header.Set(tokenHeader, token)
	}
	return t.Base.RoundTrip(req)
}

// CloseIdleConnections is for http.Client.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.File)
	if err != nil {
		return t.token
	}
	if t.seen.file != nil && os.SameFile(info, t.seen.file) && info.Size() == t.seen.size && info.ModTime().Equal(t.seen.modified) {
		return t.token
	}
	text, err := os.ReadFile(t.File)
	if err != nil {
		return t.token
	}
	if text = bytes.TrimSpace(text); len(text) > 0 {
		t.token = string(text)
		t.seen = stamp{info.ModTime(), info.Size(), info}
	}
	return t.token
}

// Plain returns the addresses of other machines that are called without TLS.
// They are HOST:PORT, paths of unix sockets, or URLs.
func Plain(tls bool, addresses ...string) []string {
	var plain []string
	for _, address := range addresses {
		scheme, rest, found := strings.Cut(address, "://")
		if !found {
			scheme, rest = "", address
		}
		if scheme == "unix" || scheme == "https" || tls && scheme != "http" || strings.HasPrefix(rest, "/") || here(rest) {
			continue
		}
		plain = append(plain, rest)
	}
	return plain
}

// here reports whether an address is one of this machine only.
func here(address string) bool {
	address, _, _ = strings.Cut(address, "/")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || ip != nil && ip.IsLoopback()
}

// Warning warns of plain addresses; it is "" without any.
func Warning(what string, plain []string) string {
	if len(plain) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is reached over plain HTTP on another machine (%s): everyone on that network can read and change the records, "+
		"and read the token. Use the Consul agent of this machine (127.0.0.1:8500), or TLS (tls=true&ca-file=FILE)", what, strings.Join(plain, ", "))
}

// CheckFiles returns an error for the first of the files that is not there. Consul's library
// keeps only the text of such an error.
func CheckFiles(files ...string) error {
	for _, file := range files {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read settings for Consul: %w", err)
		}
	}
	return nil
}
