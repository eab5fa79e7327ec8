package client

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// FuzzStream has an agent read any stream: it ends with an error, and what was
// taken in until then can be used.
func FuzzStream(f *testing.F) {
	for _, line := range []string{
		`{"datasets":[{"dataset_id":"a","primary":"n"}],"removed":["a"]}{"beat":1}`,
		`{"datasets":[null]}`, `{"leases":[null]}`, `{"hints":[{"dataset_id":"a"},null]}`,
		`{"welcome":{"stream":18446744073709551615,"heartbeat":-1},"ending":{"at":"2026-01-01T00:00:00Z"}}`, `null`, `[]`, `{"beat":-1}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		life, end := context.WithCancelCause(t.Context())
		s := &Session{
			agent: &Agent{}, channel: &channel{}, welcome: &api.Welcome{Heartbeat: time.Minute},
			life: life, end: end, ready: make(chan struct{}, 1), origin: time.Now(), pending: newMerge(),
		}
		s.read(json.NewDecoder(bytes.NewReader(stream)))
		if life.Err() == nil {
			t.Fatal("the session goes on after the end of its stream")
		}
		ev := s.pending.take()
		for _, d := range ev.Datasets {
			_ = d.Concerns("node")
		}
		for _, l := range ev.Leases {
			_ = l.HeldBy("node")
		}
		for _, h := range ev.Hints {
			_ = h.For("node")
		}
	})
}

func TestEventsWithNullEndTheStream(t *testing.T) {
	for _, ev := range []api.StreamEvent{{Datasets: []*api.Dataset{nil}}, {Leases: []*api.Lease{nil}}, {Hints: []*api.Hint{nil}}} {
		if err := checkEvent(&ev); err == nil {
			t.Errorf("%+v is taken in", ev)
		}
	}
}
