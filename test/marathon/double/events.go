package double

import (
	"net"
	"net/http"
	"slices"
	"time"
)

// stream is a reader of the events.
type stream struct {
	events chan []byte
	gone   chan struct{}
	types  []string // the only ones that it gets, none for all
	slow   bool     // it was cut off
}

// tell sends an event to all readers. One that has left too many unread is cut off. The
// caller has the mutex.
func (d *Double) tell(kind string, fields map[string]any) {
	fields["eventType"] = kind
	fields["timestamp"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	frame := []byte("event: " + kind + "\r\ndata: " + string(must(fields)) + "\r\n\r\n")
	times := 1
	if d.filter != nil {
		times = d.filter(kind)
	}
	for range times {
		d.send(kind, frame)
	}
}

func (d *Double) send(kind string, frame []byte) {
	for s := range d.streams {
		if len(s.types) > 0 && !slices.Contains(s.types, kind) {
			continue
		}
		select {
		case s.events <- frame:
		default:
			s.slow = true
			d.end(s)
		}
	}
}

// Tell sends an event that nothing has caused.
func (d *Double) Tell(kind string, fields map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(kind, fields)
}

func (d *Double) end(s *stream) {
	delete(d.streams, s)
	close(s.gone)
}

// closeStreams ends all streams. The caller has the mutex.
func (d *Double) closeStreams() {
	for s := range d.streams {
		d.end(s)
	}
}

// serveEvents serves the stream of events.
func (d *Double) serveEvents(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Accept") != "text/event-stream" { // the whole of it, as the servlet compares it
		page(w, r, http.StatusMethodNotAllowed, "HTTP method "+r.Method+" is not supported by this URL")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
	w.Header().Set("Connection", "close")
	w.Header().Set("Transfer-Encoding", "identity") // it is not chunked
	w.WriteHeader(http.StatusOK)
	s := &stream{events: make(chan []byte, d.opts.Outstanding), gone: make(chan struct{}), types: r.URL.Query()["event_type"]}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	d.mu.Lock()
	d.streams[s] = true
	d.tell("event_stream_attached", map[string]any{"remoteAddress": host})
	d.announce()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.streams[s] {
			d.end(s)
		}
		d.tell("event_stream_detached", map[string]any{"remoteAddress": host})
		d.announce()
	}()
	beat := time.NewTicker(d.opts.Heartbeat)
	defer beat.Stop()
	rc := http.NewResponseController(w)
	if rc.Flush() != nil {
		return
	}
	for {
		frame := []byte("\r\n")
		select {
		case frame = <-s.events:
		case <-beat.C:
		case <-s.gone:
			if s.slow && d.opts.Linger > 0 { // what is in the buffers is sent still, and then nothing
				select {
				case <-time.After(d.opts.Linger):
				case <-r.Context().Done():
				}
			}
			return
		case <-r.Context().Done():
			return
		}
		if _, err := w.Write(frame); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
	}
}
