package double_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/test/marathon/double"
	"github.com/flocker-mesos/flocker/test/marathon/recording"
)

// The story events-11: a reader that takes nothing is cut off, and keeps its connection for a
// while. It has whole events then, and the end; the others hear that it has gone.
func TestASlowReaderHasWholeEventsAndTheEnd(t *testing.T) {
	d := double.Start(t, double.Options{Outstanding: 4, Heartbeat: time.Hour, Linger: 50 * time.Millisecond})
	open := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URLs()[0]+"/v2/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	slow := open()
	if len(slow.TransferEncoding) > 0 || slow.ContentLength >= 0 || !slow.Close {
		t.Errorf("got the transfer encoding %q, length %d, close %v: want neither, and the connection closed", slow.TransferEncoding, slow.ContentLength, slow.Close)
	}
	d.Await(t, "it reads", func() bool { return d.Streams() == 1 })
	long := strings.Repeat("x", 64<<10)
	for d.Streams() > 0 {
		d.Tell("framework_message_event", map[string]any{"message": long})
	}
	var text strings.Builder
	if _, err := bufio.NewReader(slow.Body).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "\r\n\r\n") {
		t.Errorf("the last event is not whole: %q", text.String()[max(text.Len()-80, 0):])
	}
	events, err := recording.Events(text.String())
	if err != nil || len(events) < 2 || events[0].Type != "event_stream_attached" {
		t.Errorf("got %d events, %v", len(events), err)
	}
}

// What must not go unnoticed by the comparison of stories.
func TestTheComparisonOfStoriesSeesDifferences(t *testing.T) {
	for _, tc := range []struct{ want, got string }{
		{`{"message":"a","n":1}`, `{"message":"a"}`},
		{`{"n":1}`, `{"n":1,"m":2}`},
		{`{"n":1}`, `{"n":2}`},
		{`{"n":[1]}`, `{"n":[]}`},
		{`{"state":"TASK_RUNNING"}`, `{"state":"TASK_STAGING"}`},
		{`{"version":"x"}`, `{"version":5}`},
	} {
		if got := (&replay{}).compare(tc.want, tc.got); len(got) == 0 {
			t.Errorf("%s and %s are taken for the same", tc.want, tc.got)
		}
	}
	one := []recording.Event{{Type: "instance_changed_event", Data: map[string]any{"instanceId": "a", "condition": "Running", "runSpecId": "/a"}}}
	other := []recording.Event{{Type: "instance_changed_event", Data: map[string]any{"instanceId": "a", "condition": "Killed", "runSpecId": "/a"}}}
	a, _ := threads(one)
	b, _ := threads(other)
	if a["instance of /a #1"][0] == b["instance of /a #1"][0] {
		t.Error("two conditions are taken for the same")
	}
}
