package reconcile

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/agent/calls"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// maxAnswer bounds an answer, in bytes. A thousand tasks take about two
	// million.
	maxAnswer = 64 << 20
	// maxRefusal bounds what is read of an answer that is not a success.
	maxRefusal = 1 << 10

	protobuf       = "application/x-protobuf"
	connectTimeout = 5 * time.Second

	// The executor of a task group tells the agent of a task's container and
	// asks for it over two connections, so that the second may come first.
	labelsRetry = 50 * time.Millisecond
	labelsLimit = 300 * time.Millisecond
)

// Mesos is a client of a Mesos agent's operator API, for the few calls that
// Flocker needs.
type Mesos struct {
	options Options
	base    string
	http    *http.Client
}

// Options say where the Mesos agent is and who asks.
type Options struct {
	URL      string // such as http://127.0.0.1:5051
	Username string // of --http_credentials, "" for none
	// Password returns the password. It is read at every call, so that it can
	// change without a restart.
	Password func() (string, error)
	TLS      *tls.Config // for https, nil for the system's authorities
}

// CheckURL says what is wrong with the URL of a Mesos agent.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is not a URL such as http://10.0.0.11:5051", text)
	case u.User != nil:
		return fmt.Errorf("%q has a user in it: set mesos.user and mesos.password-file", u.Redacted())
	}
	return nil
}

// NewMesos checks the options; it does not call the Mesos agent yet.
func NewMesos(o Options) (*Mesos, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, fmt.Errorf("read URL of the Mesos agent: %w", err)
	}
	if o.Username != "" && o.Password == nil {
		return nil, fmt.Errorf("the user %s of the Mesos agent has no password", o.Username)
	}
	return &Mesos{options: o, base: strings.TrimRight(o.URL, "/"), http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     o.TLS,
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout: connectTimeout,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true, // the bounds are those of what is sent
		},
		// A redirection would take the credentials elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Containers returns what the Mesos agent runs now, nested containers included.
// While a call of an isolator runs, the answer waits for it.
func (m *Mesos) Containers(ctx context.Context) (Live, error) {
	call := calls.GetContainers()
	nested := true
	call.GetContainers = &agent.Call_GetContainers{ShowNested: &nested}
	r, err := m.ask(ctx, call)
	if err != nil {
		return Live{}, fmt.Errorf("list containers of Mesos: %w", err)
	}
	// Mesos leaves get_containers out of its answer when nothing runs.
	live := NewLive()
	containers := r.GetGetContainers().GetContainers()
	for i := range containers {
		addContainer(live, &containers[i])
	}
	return live, nil
}

// addContainer finds a container's full id. Mesos leaves the parents out where
// one would look for them, but has them in the status.
func addContainer(live Live, c *agent.Response_GetContainers_Container) {
	switch status := c.GetContainerStatus().GetContainerID(); {
	case status != nil && status.Value == c.ContainerID.Value:
		live.ids[containerID(status)] = true
	case c.ContainerID.Parent != nil || c.FrameworkID != nil:
		live.ids[containerID(&c.ContainerID)] = true // only executors have a framework
	default:
		live.leaves[c.ContainerID.Value] = true
	}
}

// Labels returns the labels of the task in a nested container. The parent is
// the ids of its parents, joined by periods. A container without a task, and
// one that Mesos does not know, has none.
func (m *Mesos) Labels(ctx context.Context, container, parent string) ([]api.Label, error) {
	id := parent + "." + container
	deadline := time.Now().Add(labelsLimit)
	for {
		r, err := m.ask(ctx, calls.GetTasks())
		if err != nil {
			return nil, api.Errorf(api.CodeUnavailable, "ask Mesos for the labels of container %s: %v", id, err)
		}
		if task := findTask(r.GetGetTasks().GetLaunchedTasks(), id); task != nil {
			return labelsOf(task), nil
		}
		if time.Now().After(deadline) {
			return nil, nil
		}
		select {
		case <-time.After(labelsRetry):
		case <-ctx.Done():
			return nil, api.Errorf(api.CodeUnavailable, "ask Mesos for the labels of container %s: %v", id, ctx.Err())
		}
	}
}

func findTask(tasks []mesos.Task, container string) *mesos.Task {
	for i := range tasks {
		for _, s := range tasks[i].GetStatuses() {
			if id := s.GetContainerStatus().GetContainerID(); id != nil && containerID(id) == container {
				return &tasks[i]
			}
		}
	}
	return nil
}

func labelsOf(task *mesos.Task) []api.Label {
	var labels []api.Label
	for _, l := range task.GetLabels().GetLabels() {
		labels = append(labels, api.Label{Key: l.GetKey(), Value: l.GetValue()})
	}
	return labels
}

func containerID(id *mesos.ContainerID) string {
	if id.Parent == nil {
		return id.Value
	}
	return containerID(id.Parent) + "." + id.Value
}

// ask sends a call in protobuf, because mesos-go's JSON fails on every word of a
// newer Mesos. The generated decoders of mesos-go panic on some damaged
// messages, which must not end the Flocker agent.
func (m *Mesos) ask(ctx context.Context, call *agent.Call) (r *agent.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, m.oddAnswer("%s: decode the answer: %v", call.Type, p)
		}
	}()
	body, err := call.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the call: %w", err)
	}
	answer, err := m.send(ctx, http.MethodPost, "/api/v1", protobuf, body)
	if err != nil {
		return nil, err
	}
	r = new(agent.Response)
	if err := r.Unmarshal(answer); err != nil {
		return nil, m.oddAnswer("%s: decode the answer: %v", call.Type, err)
	}
	if r.Type.String() != call.Type.String() {
		return nil, m.oddAnswer("it answers %s with %s", call.Type, r.Type)
	}
	return r, nil
}

// send returns the body of an answer of the given media type.
func (m *Mesos) send(ctx context.Context, method, path, media string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call the Mesos agent: %w", err)
	}
	req.Header.Set("Accept", media)
	if body != nil {
		req.Header.Set("Content-Type", media)
	}
	if m.options.Username != "" {
		password, err := m.options.Password()
		if err != nil {
			return nil, troublef(api.MesosDenied, "the password of %s for the Mesos agent cannot be read: %v; mesos.password-file in agent.yml names its file",
				m.options.Username, err)
		}
		req.SetBasicAuth(m.options.Username, password)
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return nil, m.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, m.refused(method, path, resp)
	}
	if got := resp.Header.Get("Content-Type"); got != media {
		return nil, m.oddAnswer("%s answers with %q where %s was asked for", path, got, media)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, m.unreachable(fmt.Errorf("read the answer: %w", err))
	}
	if len(data) > maxAnswer {
		return nil, m.oddAnswer("an answer is longer than %d bytes", maxAnswer)
	}
	return data, nil
}
