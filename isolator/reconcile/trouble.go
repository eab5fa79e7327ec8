package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Trouble is the reason why the containers of the Mesos agent are not known.
type Trouble struct {
	Kind  api.MesosTroubleKind
	Cause string // with what to do about it
}

// Error implements error.
func (t *Trouble) Error() string { return t.Cause }

func troublef(kind api.MesosTroubleKind, format string, args ...any) *Trouble {
	return &Trouble{Kind: kind, Cause: fmt.Sprintf(format, args...)}
}

// TroubleOf returns the trouble that an error is about.
func TroubleOf(err error) *Trouble {
	if t, ok := errors.AsType[*Trouble](err); ok {
		return t
	}
	return &Trouble{Kind: api.MesosOdd, Cause: err.Error()}
}

func (m *Mesos) unreachable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // which repeats the URL
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return troublef(api.MesosUnheard, "the Mesos agent at %s did not answer in time; a call of one of its isolators may be hanging", m.base)
	}
	return troublef(api.MesosUnheard, "the Mesos agent at %s does not answer: %v; start it, or set mesos.agent in agent.yml to its URL", m.base, err)
}

func (m *Mesos) oddAnswer(format string, args ...any) error {
	return troublef(api.MesosOdd, "%s does not answer as a Mesos agent: %s; set mesos.agent in agent.yml to the URL of this machine's Mesos agent",
		m.base, fmt.Sprintf(format, args...))
}

// refused says what an answer that is not a success means.
func (m *Mesos) refused(method, path string, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // as much of it as there is
	said := strings.TrimSpace(string(text))
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		refused := "calls without credentials; set mesos.user and mesos.password-file in agent.yml"
		if m.options.Username != "" {
			refused = fmt.Sprintf("the password of %s; compare mesos.user and mesos.password-file in agent.yml with its --http_credentials", m.options.Username)
		}
		return troublef(api.MesosDenied, "the Mesos agent at %s answers 401: it refuses %s", m.base, refused)
	case http.StatusForbidden:
		return troublef(api.MesosDenied, "the Mesos agent at %s answers 403: it forbids %s %s to %q; its --acls must allow view_flags, view_containers and view_tasks",
			m.base, method, path, m.options.Username)
	case http.StatusServiceUnavailable:
		return troublef(api.MesosUnheard, "the Mesos agent at %s is not ready: %q", m.base, said)
	default:
		return m.oddAnswer("%s %s is answered %s (%q)", method, path, resp.Status, said)
	}
}
