// Package info asks a Marathon about itself: its version, and those of its
// settings that volumes depend on.
package info

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

	"github.com/flocker-mesos/flocker/api"
)

// maxAnswer bounds Marathon's answer, in bytes. It has some thousand.
const maxAnswer = 1 << 20

// Asker asks. It needs no setting.
type Asker struct{}

// Info asks the Marathon at a URL, which may have a user and a password in it.
// Errors: api.CodeInvalid for what is no URL, api.CodeUnavailable where no
// Marathon answers.
func (Asker) Info(ctx context.Context, text string) (*api.MarathonInfo, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, api.Errorf(api.CodeInvalid, "the URL of Marathon is not of the form http://marathon.example.net:8080")
	}
	shown := u.Redacted()
	data, err := get(ctx, u)
	if err != nil {
		return nil, api.Errorf(api.CodeUnavailable, "ask Marathon at %s: %v", shown, err)
	}
	info, err := parse(data)
	if err != nil {
		return nil, api.Errorf(api.CodeUnavailable, "ask Marathon at %s: %v", shown, err)
	}
	return info, nil
}

func get(ctx context.Context, u *url.URL) ([]byte, error) {
	user := u.User
	base := *u
	base.User, base.Path = nil, strings.TrimRight(u.Path, "/")+"/v2/info"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if password, ok := user.Password(); ok {
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // which names the URL
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	return data, err
}

// parse reads the answer. Not every version tells its launch timeout, which is in
// milliseconds.
func parse(data []byte) (*api.MarathonInfo, error) {
	var answer struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Config  struct {
			TaskLaunchTimeout *float64 `json:"task_launch_timeout"`
		} `json:"marathon_config"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if answer.Version == "" {
		return nil, errors.New("what answers there is no Marathon: it tells no version")
	}
	info := &api.MarathonInfo{Version: answer.Version}
	const longest = float64(365 * 24 * time.Hour / time.Millisecond)
	if ms := answer.Config.TaskLaunchTimeout; ms != nil && *ms > 0 && *ms <= longest {
		info.TaskLaunchTimeout = time.Duration(*ms) * time.Millisecond
	}
	return info, nil
}
