package double_test

import (
	"bytes"
	"net/http"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// listener collects the double's events.
type listener struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *listener) events(t *testing.T) []recording.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := recording.Events(l.text.String())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// listen follows the events of the double until the test ends.
func (r *replay) listen(at string, request *recording.Request) *listener {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, at+request.Path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range request.Headers {
		req.Header.Add(h[0], h[1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	l := &listener{}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(buf)
			l.mu.Lock()
			l.text.Write(buf[:n])
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	r.t.Cleanup(func() { _ = resp.Body.Close(); reading.Wait() })
	return l
}
