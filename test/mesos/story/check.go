package story

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Check sends a recorded request to a double at a URL, and returns in what its answer
// differs from the recorded one: in status, headers, or body. JSON is compared by
// Differences, refusals by their text, and protobuf by its first bytes where it tells
// more than that there is nothing. Unlike says which differences there must be.
func (l *Line) Check(ctx context.Context, transport http.RoundTripper, url string, exact []string, unlike func(string) bool) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, l.Request.Method, url+l.Request.Path, bytes.NewReader(l.Request.Body()))
	if err != nil {
		return nil, err
	}
	for _, header := range l.Request.Headers {
		req.Header.Set(header[0], header[1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	want := l.Response.Body()
	if resp.StatusCode != l.Response.Status {
		return []string{fmt.Sprintf("got %d (%s), recorded %d (%s)", resp.StatusCode, got, l.Response.Status, want)}, nil
	}
	var found []string
	for _, header := range []string{"Content-Type", "Allow", "WWW-Authenticate", "Location"} {
		if recorded := Header(l.Response.Headers, header); resp.Header.Get(header) != recorded && !unlike(header) {
			found = append(found, fmt.Sprintf("got %s %q, recorded %q", header, resp.Header.Get(header), recorded))
		}
	}
	differences, err := compare(resp.Header.Get("Content-Type"), got, want, exact)
	if err != nil {
		return nil, err
	}
	for _, d := range differences {
		if !unlike(d) {
			found = append(found, d)
		}
	}
	return found, nil
}

func compare(contentType string, got, want []byte, exact []string) ([]string, error) {
	const nothing = 10 // bytes of an answer in protobuf that has no list in it
	switch {
	case contentType == "application/json":
		return Differences(got, want, exact...)
	case contentType == "application/x-protobuf" && len(want) > nothing:
		got, want = got[:min(2, len(got))], want[:2]
	}
	if bytes.Equal(got, want) {
		return nil, nil
	}
	return []string{fmt.Sprintf("got %q, recorded %q", got, want)}, nil
}

// String names the exchange in a test's log.
func (l *Line) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", l.Note, l.Request.Method, l.Request.Path, l.Request.Body()))
}
