// Package story reads recordings of real Mesos masters and agents, and plays them
// back: to a client as the server that was recorded, and to a double as the client.
package story

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Line is what happened at one moment: an exchange, a part of a stream, or a note.
type Line struct {
	At       time.Time `json:"at"`
	Note     string    `json:"note"`
	Text     string    `json:"text"`
	Request  *Request  `json:"request"`
	Response *Response `json:"response"`
	// Stream is set for the parts of a stream: its request, its head, its Chunks
	// and its End.
	Stream string  `json:"stream"`
	Chunk  *string `json:"chunk"`
	Raw    string  `json:"chunk64"`
	End    string  `json:"end"`
}

// Request is a recorded request.
type Request struct {
	Method  string      `json:"method"`
	To      string      `json:"to"`
	Path    string      `json:"path"`
	Headers [][2]string `json:"headers"`
	Text    *string     `json:"body"`
	Raw     string      `json:"body64"`
}

// Response is a recorded answer.
type Response struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Text    *string     `json:"body"`
	Raw     string      `json:"body64"`
}

// Load reads a recording.
func Load(path string) ([]Line, error) {
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	var lines []Line
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, len(data)+1)
	for scanner.Scan() {
		var l Line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, scanner.Err()
}

// IsExchange reports whether the line is a request with its whole answer.
func (l *Line) IsExchange() bool { return l.Stream == "" && l.Request != nil && l.Response != nil }

// Body returns the body of the request.
func (r *Request) Body() []byte { return body(r.Text, r.Raw) }

// Body returns the body of the answer.
func (r *Response) Body() []byte { return body(r.Text, r.Raw) }

// Bytes returns what a line of a stream brought.
func (l *Line) Bytes() []byte { return body(l.Chunk, l.Raw) }

func body(text *string, raw string) []byte {
	if text != nil {
		return []byte(*text)
	}
	data, err := base64.StdEncoding.DecodeString(raw)
	if err != nil {
		panic(fmt.Sprintf("a recording has a body that is not base64: %v", err))
	}
	return data
}

// Header returns a header's value, "" for none.
func Header(headers [][2]string, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// Call returns the type of the v1 API's call that a request in JSON makes, "" for
// another request.
func (r *Request) Call() string {
	var call struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(r.Body(), &call) // what is no call has no type
	return call.Type
}
