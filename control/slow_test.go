package control_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// TestAStreamWithoutAHelloEnds opens streams of a node and says nothing in them.
func TestAStreamWithoutAHelloEnds(t *testing.T) {
	t.Parallel()
	s := newSecured(t).start()
	for protocol, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		for what, text := range map[string]string{"nothing": "", "half a line": `{"hostname": "x"`} {
			t.Run(protocol+" "+what, func(t *testing.T) {
				t.Parallel()
				config := s.foreign(s.path("node.crt"))
				if !two {
					config.NextProtos = []string{"http/1.1"}
				}
				transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: two}
				defer transport.CloseIdleConnections()
				body, up := io.Pipe()
				defer up.Close()
				go func() { _, _ = io.WriteString(up, text) }()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.agents+"/agent/v1/stream", body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&http.Client{Transport: transport}).Do(r)
				if ctx.Err() != nil {
					t.Fatal("the stream is held for as long as the client likes")
				}
				if err == nil {
					if resp.StatusCode < 400 {
						t.Errorf("got %s", resp.Status)
					}
					_ = resp.Body.Close()
				}
			})
		}
	}
}
