package control_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// SetReadDeadline is what streams need of a connection.
func (recorder) SetReadDeadline(time.Time) error { return nil }

// FuzzAgentRequests has a node send anything: it is answered without a defect,
// and a volume that another node holds stays as it is.
func FuzzAgentRequests(f *testing.F) {
	paths := []string{"claim", "member", "report", "stream", "datasets/" + dataset1}
	for i, body := range []string{
		`{"find":{"name":"db"},"preempt":true}`,
		`{"set":{"name":"db"},"consumer":"c","each":-1,"index":-9}`,
		`{"datasets":[{"state":{"dataset_id":"` + dataset1 + `","epoch":1,"phase":"mounted"},"release":true,"destroyed":true,"withdraw":true}]}`,
		`{"hostname":"h","era":"e","agent":"a","instance":"i-` + nodeB[:4] + `","backend":"loopback"}{"beat":1}{"beat":0}`,
		`{}`,
	} {
		f.Add(uint8(i), []byte(body))
		f.Add(uint8(i), []byte(`[null]`))
	}
	f.Add(uint8(0), []byte(`{"dataset_id":"`+dataset1+`","ahead":true}`))
	f.Add(uint8(2), []byte(`{"datasets":[{"state":{"dataset_id":"`+dataset1+`","epoch":1},"volume":{"id":"vol-1","size":1},"fence":{"epoch":1}},{}]}`))
	f.Add(uint8(2), []byte(`{"datasets":[{"state":{"dataset_id":"x","consumers":[{}],"failure":{}},"free":18446744073709551615}]}`))
	w := newWorld(f)
	b, _ := w.connect(nodeB)
	d, err := w.user().Create(f.Context(), client.CreateRequest{ID: dataset1, Primary: nodeB, Metadata: map[string]string{"name": "db"}}, "")
	if err != nil {
		f.Fatal(err)
	}
	w.report(b, api.DatasetReport{
		State:  api.DatasetState{ID: d.ID, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/" + dataset1, Device: "/dev/loop0", Size: d.MaximumSize},
		Volume: &api.Volume{ID: "vol-1", Backend: "loopback", Size: d.MaximumSize},
	})
	a, first := w.connect(nodeA)
	defer a.Close()
	whole := func() api.Dataset {
		is := w.service.Replica().State().Dataset(dataset1).Clone()
		is.Waiting, is.Pinned, is.Revision = nil, false, 0 // to ask for it is the right of every node
		return *is
	}
	want := whole()
	handler := w.service.AgentHandler()
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		path := paths[int(n)%len(paths)]
		node, method := nodeA, http.MethodPost
		switch {
		case path == "stream":
			node = "77777777-5d8f-4a4a-9a52-0d7ad9e0a111" // another one than the node whose stream the calls name
		case strings.HasPrefix(path, "datasets/"):
			method = http.MethodGet
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(body, &fields) == nil && fields != nil {
			fields["stream"], _ = json.Marshal(first.Welcome.Stream)
			body, _ = json.Marshal(fields)
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "/agent/v1/"+path, bytes.NewReader(body))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{
			Subject: pkix.Name{CommonName: "node-" + node, OrganizationalUnit: []string{clusterID}},
		}}}
		rec := recorder{httptest.NewRecorder()}
		handler.ServeHTTP(rec, r)
		if rec.Code == http.StatusInternalServerError || rec.Code >= http.StatusBadRequest && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %s: %d %s", path, body, rec.Code, rec.Body)
		}
		if is := whole(); !reflect.DeepEqual(is, want) {
			t.Fatalf("%s %s: the volume of another node is\n%+v, want\n%+v", path, body, is, want)
		}
	})
}
