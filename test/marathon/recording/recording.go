// Package recording reads what a real Marathon answered and sent: testdata has the
// stories, and its README says how they were recorded.
package recording

import (
	"bufio"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed testdata/*.gz
var files embed.FS

// Story is what happened while something was tried with Marathon.
type Story struct {
	Name  string
	Lines []Line
}

// Line is one thing that happened.
type Line struct {
	At       time.Time `json:"at"`
	Answered time.Time `json:"answered"`
	Note     string    `json:"note"`
	Request  *Request  `json:"request"`
	Response *Response `json:"response"`
	Stream   string    `json:"stream"` // the name of a stream of events, "" for an exchange
	Chunk    string    `json:"chunk"`  // one read of the stream
	End      string    `json:"end"`    // which side ended the stream
}

// Request is what was asked.
type Request struct {
	To      string      `json:"to"` // "" for the usual Marathon
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

// Response is what was answered.
type Response struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    *string     `json:"body"` // nil for one that is no text
}

// Header returns a header, "" for none.
func (r *Response) Header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

// Text returns the body, "" for none.
func (r *Response) Text() string {
	if r.Body == nil {
		return ""
	}
	return *r.Body
}

// Exchange reports whether a line is a question with its answer.
func (l *Line) Exchange() bool { return l.Stream == "" && l.Request != nil && l.Response != nil }

// Names lists the stories.
func Names(tb testing.TB) []string {
	tb.Helper()
	found, err := fs.Glob(files, "testdata/*.jsonl.gz")
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, file := range found {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".jsonl.gz"))
	}
	slices.Sort(names)
	return names
}

// Read reads a story.
func Read(tb testing.TB, name string) *Story {
	tb.Helper()
	s := &Story{Name: name}
	lines := open(tb, name+".jsonl.gz")
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			tb.Fatalf("read story %s: %v", name, err)
		}
		s.Lines = append(s.Lines, l)
	}
	if err := lines.Err(); err != nil || len(s.Lines) == 0 {
		tb.Fatalf("read story %s: %d lines, %v", name, len(s.Lines), err)
	}
	return s
}

func open(tb testing.TB, file string) *bufio.Scanner {
	tb.Helper()
	f, err := files.Open("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatalf("read %s: %v", file, err)
	}
	return bufio.NewScanner(z)
}

// Streams lists the names of the streams of events, in the order in which they were
// asked for.
func (s *Story) Streams() []string {
	var names []string
	for _, l := range s.Lines {
		if l.Stream != "" && !slices.Contains(names, l.Stream) {
			names = append(names, l.Stream)
		}
	}
	return names
}

// Chunks returns what was read of a stream, read by read.
func (s *Story) Chunks(stream string) []string {
	var chunks []string
	for _, l := range s.Lines {
		if l.Stream == stream && l.Chunk != "" {
			chunks = append(chunks, l.Chunk)
		}
	}
	return chunks
}

// Event is one event of a stream.
type Event struct {
	Type string
	Data map[string]any
	Raw  string // the data's text
}

// Events splits the text of a stream into its events.
func Events(text string) ([]Event, error) {
	var all []Event
	for frame := range strings.SplitSeq(text, "\r\n\r\n") {
		var ev Event
		for line := range strings.SplitSeq(frame, "\r\n") {
			if kind, ok := strings.CutPrefix(line, "event: "); ok {
				ev.Type = kind
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				ev.Raw += data
			}
		}
		if ev.Raw == "" {
			continue
		}
		if err := json.Unmarshal([]byte(ev.Raw), &ev.Data); err != nil {
			return nil, fmt.Errorf("read event %s: %w", ev.Type, err)
		}
		all = append(all, ev)
	}
	return all, nil
}
