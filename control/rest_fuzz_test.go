package control_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// recorder takes answers as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetWriteDeadline(time.Time) error { return nil }

// Whatever a user sends to whichever operation: it is answered as the document
// says, and with no defect.
func FuzzOperations(f *testing.F) {
	ops := operations(f)
	for i := range ops {
		f.Add(uint(i), dataset1, "name=a&limit=1", "tag", []byte(`{"primary": "`+nodeA+`", "maximum_size": 1073741824, "metadata": {"name": "db"}}`))
		f.Add(uint(i), "a/../b", "wait=1ms&after=x", "", []byte(`{"size": 1e2000000, "metadata": {"a": null}}`))
		f.Add(uint(i), "\xff\x00", "metadata=%ff", "\n", []byte(leaseBody(dataset1, nodeA, "-1e400")))
	}
	w := newWorld(f)
	handler := w.service.UserHandler()
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "user-alice", OrganizationalUnit: []string{clusterID}}}}}
	f.Fuzz(func(t *testing.T, n uint, value, query, match string, body []byte) {
		op := ops[n%uint(len(ops))]
		if op.ID == "watch" {
			return // it stays
		}
		path := variable.ReplaceAllStringFunc(op.Path, func(string) string { return url.PathEscape(value) })
		r := httptest.NewRequestWithContext(t.Context(), op.Method, "/", strings.NewReader(string(body)))
		u, err := url.Parse(path)
		if err != nil {
			return
		}
		r.URL, r.TLS = u, state
		r.URL.RawQuery = strings.ReplaceAll(query, "wait=", "w=") // not that long
		r.Header.Set("X-If-Configuration-Matches", match)
		rec := recorder{httptest.NewRecorder()}
		handler.ServeHTTP(rec, r)
		if op = operationOf(t, op.Method, u.Path); op == nil {
			return // the value has made another path of it
		}
		if rec.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", op.Method, path, rec.Code, rec.Body)
		}
		if err := op.CheckAnswer(rec.Code, rec.Header().Get("Content-Type"), rec.Body.Bytes()); err != nil && rec.Code != http.StatusNotFound {
			t.Errorf("%s %s: %v", op.Method, path, err)
		}
		if rec.Code >= http.StatusBadRequest && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %s: %d %q", op.Method, path, rec.Code, rec.Body)
		}
	})
}
