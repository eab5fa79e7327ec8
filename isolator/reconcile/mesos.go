package reconcile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/agent/calls"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpagent"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// maxAnswer bounds an answer, in bytes. A thousand tasks take about two
	// million.
	maxAnswer = 64 << 20

	// The executor of a task group tells the agent of a task's container and
	// asks for it over two connections, so that the second may come first.
	labelsRetry = 50 * time.Millisecond
	labelsLimit = 300 * time.Millisecond
)

// Mesos is the agent's API of a Mesos agent, a translation of few of its calls.
type Mesos struct{ sender calls.Sender }

// Options say where the Mesos agent is and who asks.
type Options struct {
	URL      string // such as http://127.0.0.1:5051
	Username string // of --http_credentials, "" for none
	Password string
	TLS      *tls.Config // for https, nil for the system's authorities
}

// NewMesos checks the options; it does not call the Mesos agent yet.
func NewMesos(o Options) (*Mesos, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read URL of the Mesos agent: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("read URL of the Mesos agent: %q is not of the form http://127.0.0.1:5051", o.URL)
	}
	transport := &http.Transport{
		TLSClientConfig:     o.TLS,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
		// Without a length, which compression takes away, mesos-go can take
		// an answer for a stream.
		DisableCompression: true,
	}
	// The round tripper replaces the client's own, which speaks only IPv4 and
	// gives up after 15 s, while a listing waits for the isolator's calls.
	config := []httpcli.ConfigOpt{httpcli.RoundTripper(limited{transport})}
	if o.Username != "" {
		config = append(config, httpcli.BasicAuth(o.Username, o.Password))
	}
	client := httpcli.New(
		httpcli.Endpoint(strings.TrimSuffix(u.String(), "/")+"/api/v1"),
		// Protobuf, because JSON fails on every word of a newer Mesos.
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
		httpcli.Do(httpcli.With(config...)),
	)
	return &Mesos{sender: httpagent.NewSender(client.Send)}, nil
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
	if r.GetContainers == nil {
		return Live{}, errors.New("list containers of Mesos: the answer has no containers")
	}
	live := NewLive()
	for i := range r.GetContainers.Containers {
		addContainer(live, &r.GetContainers.Containers[i])
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

// ask sends a call and decodes the answer. The generated decoders of mesos-go
// panic on some damaged messages, which must not end the Flocker agent.
func (m *Mesos) ask(ctx context.Context, call *agent.Call) (r *agent.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("decode the answer: %v", p)
		}
	}()
	resp, err := m.sender.Send(ctx, calls.NonStreaming(call))
	if resp != nil {
		defer resp.Close()
	}
	if err != nil {
		return nil, err
	}
	r = new(agent.Response)
	if err := resp.Decode(r); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return r, nil
}

// limited bounds what an answer can make this process read.
type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{resp.Body, maxAnswer}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read fails where a plain limit would end: a cut answer must not look whole.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an answer is longer than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
