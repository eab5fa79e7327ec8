package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/marathon/check"
)

// marathonReader reads what Marathon runs, as it was given it: to be checked it must
// have all of a definition, also what nothing else here knows.
type marathonReader struct{ urls []*url.URL }

// marathonInfo is what Marathon says of itself, as far as it matters here.
type marathonInfo struct {
	Config struct {
		Features          []string `json:"features"`
		TaskLaunchTimeout int64    `json:"task_launch_timeout"` // ms
	} `json:"marathon_config"`
}

// newMarathonReader makes one of URLs with commas between them. A URL may have a name
// and a password.
func newMarathonReader(text string) (*marathonReader, error) {
	m := &marathonReader{}
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%q: want a URL such as http://marathon.example.net:8080", one)
		}
		m.urls = append(m.urls, u)
	}
	return m, nil
}

// Bounds of what Marathon is asked for.
const (
	marathonTimeout = 30 * time.Second
	maxMarathonText = 256 << 20
)

// definitions returns the apps and pods that run, a document each.
func (m *marathonReader) definitions(ctx context.Context) ([]*check.Document, error) {
	var apps struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := m.get(ctx, "/v2/apps", &apps); err != nil {
		return nil, err
	}
	var pods []json.RawMessage
	if err := m.get(ctx, "/v2/pods", &pods); err != nil {
		return nil, err
	}
	var documents []*check.Document
	for _, text := range append(apps.Apps, pods...) {
		d, err := check.Parse("", text)
		if err != nil {
			return nil, fmt.Errorf("read what Marathon runs: %w", err)
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func (m *marathonReader) info(ctx context.Context) (marathonInfo, error) {
	var info marathonInfo
	err := m.get(ctx, "/v2/info", &info)
	return info, err
}

// get asks one Marathon after the other: each has the answers of the one that leads.
func (m *marathonReader) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, marathonTimeout)
	defer cancel()
	var failures []error
	for _, u := range m.urls {
		err := getJSON(ctx, u.JoinPath(path), into)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func getJSON(ctx context.Context, u *url.URL, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("ask Marathon: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Marathon: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Marathon: %s answers %s", u.Redacted(), resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxMarathonText)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", u.Redacted(), err)
	}
	return nil
}
