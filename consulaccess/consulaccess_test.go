package consulaccess_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flocker-mesos/flocker/consulaccess"
)

func TestTheTokenIsReadAgainWhenItsFileChanges(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("X-Consul-Token") }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	client := &http.Client{Transport: &consulaccess.Transport{Base: http.DefaultTransport, File: file}}
	want := func(what, token string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Consul-Token", "of the start")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if sent := <-got; sent != token {
			t.Errorf("%s: got %q, want %q", what, sent, token)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	want("without a file", "of the start")
	write("first\n")
	want("a file", "first")
	write("other\n") // of the same size, and perhaps of the same time
	want("another file", "other")
	write("")
	want("an empty file", "other")
	write("third")
	want("a third file", "third")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("a file that is gone", "third")
}

func TestTellsWhatIsNotProtected(t *testing.T) {
	for _, tt := range []struct {
		tls     bool
		address string
		plain   bool
	}{
		{false, "127.0.0.1:8500", false},
		{false, "127.3.2.1:8500", false},
		{false, "[::1]:8500", false},
		{false, "localhost:8500", false},
		{false, "LOCALHOST.:8500", false},
		{false, "http://localhost:8500", false},
		{false, "/run/consul.sock", false},
		{false, "unix:///run/consul.sock", false},
		{false, "", false},
		{true, "consul.example.net:8500", false},
		{false, "https://consul.example.net:8501", false},
		{false, "consul.example.net:8500", true},
		{false, "http://consul.example.net:8500", true},
		{true, "http://consul.example.net:8500", true},
		{false, "10.0.0.1:8500", true},
		{false, "[fe80::1]:8500", true},
		{false, "localhost.example.net:8500", true},
		{false, "0.0.0.0:8500", true},
	} {
		if got := consulaccess.Plain(tt.tls, tt.address); (len(got) > 0) != tt.plain {
			t.Errorf("%q, TLS %t: got %q", tt.address, tt.tls, got)
		}
	}
	if got := consulaccess.Plain(false, "127.0.0.1:1", "a:1", "b:2"); !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("got %q", got)
	}
}
