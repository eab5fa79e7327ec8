package master

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"

	v1 "github.com/flocker-mesos/flocker/test/mesos/v1"
)

// Master is one master of a cluster.
type Master struct {
	URL string

	cluster *Cluster
	address string
	server  *http.Server
	serving sync.WaitGroup
	end     context.CancelFunc

	mu     sync.Mutex
	status int // that every call is refused with, 0 for none
}

// Serve adds a master that serves a listener. The first one leads.
func (c *Cluster) Serve(l net.Listener) *Master {
	m := &Master{URL: "http://" + l.Addr().String(), cluster: c, address: l.Addr().String()}
	var ctx context.Context
	ctx, m.end = context.WithCancel(context.Background())
	m.server = &http.Server{
		Handler: m, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	m.serving.Go(func() { _ = m.server.Serve(l) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.masters = append(c.masters, m)
	if c.leader == nil && len(c.masters) == 1 {
		c.leader, c.named = m, m
	}
	return m
}

// Listen adds a master on a port of this machine.
func (c *Cluster) Listen() (*Master, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return c.Serve(l), nil
}

// Close ends the master, as its death would.
func (m *Master) Close() error {
	m.end()
	err := m.server.Close()
	m.serving.Wait()
	return err
}

// Refuse has every call refused with a status, 0 for no longer.
func (m *Master) Refuse(status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = status
}

// ServeHTTP implements http.Handler. Credentials come before anything but health,
// version and where the leader is, and a master that does not lead sends its callers
// on before it looks at what they want.
func (m *Master) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	status := m.status
	m.mu.Unlock()
	if status != 0 {
		v1.Refuse(w, status, "played")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/master")
	door := m.door()
	realm := "readonly"
	switch path {
	case "/health":
		return
	case "/version":
		v1.Reply(w, &v1.Version)
		return
	case "/redirect":
		m.redirect(w, "")
		return
	case "/api/v1":
		realm = "readwrite"
	case "/flags", "/slaves", "/state", "/tasks", "/registrar(1)/registry":
	default:
		v1.NotFound(w)
		return
	}
	if !door.Allowed(w, r, realm) {
		return
	}
	switch {
	case path == "/flags":
		v1.Reply(w, map[string]any{"flags": flags})
	case path == "/registrar(1)/registry":
		m.registry(w)
	case !m.leads():
		m.redirect(w, "/master"+path+query(r))
	case path == "/api/v1":
		if call := door.Read(w, r); call != nil {
			m.operate(w, r, call)
		}
	default:
		m.cluster.mu.Lock()
		defer m.cluster.mu.Unlock()
		v1.Reply(w, m.cluster.old(path))
	}
}

func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

func (m *Master) leads() bool {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	return m.cluster.leader == m
}

// redirect names the leader: for some seconds after its death the one that is dead.
func (m *Master) redirect(w http.ResponseWriter, path string) {
	m.cluster.mu.Lock()
	leader := m.cluster.named
	m.cluster.mu.Unlock()
	if leader == nil {
		v1.Refuse(w, http.StatusServiceUnavailable, "No leader elected")
		return
	}
	w.Header().Set("Location", "//"+leader.address+path)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (m *Master) door() *v1.Door {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	return &v1.Door{Kind: "master", Types: master.Call_Type_value, Username: m.cluster.user, Password: m.cluster.password}
}

// operate answers the operator API.
func (m *Master) operate(w http.ResponseWriter, r *http.Request, c *v1.Call) {
	call := new(master.Call)
	if !c.Decode(w, call) {
		return
	}
	switch {
	case call.Type == master.Call_SUBSCRIBE:
		m.subscribe(w, r, c.Accept)
		return
	case call.MarkAgentGone != nil:
		v1.Refuse(w, http.StatusNotFound, fmt.Sprintf("Agent '%s' not found", call.MarkAgentGone.AgentID.Value))
		return
	case call.DrainAgent != nil:
		v1.Refuse(w, http.StatusBadRequest, "Unknown agent")
		return
	}
	answer, extend := m.answer(call)
	if answer == nil {
		v1.Refuse(w, http.StatusNotImplemented, "501 Not Implemented.")
		return
	}
	_ = c.Answer(w, answer, extend) // the caller may have gone
}

func (m *Master) answer(call *master.Call) (*master.Response, func(map[string]any)) {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &master.Response{Type: master.Response_Type(master.Response_Type_value[call.Type.String()])}
	switch call.Type {
	case master.Call_GET_HEALTH:
		r.GetHealth = &master.Response_GetHealth{Healthy: true}
	case master.Call_GET_VERSION:
		r.GetVersion = &master.Response_GetVersion{VersionInfo: v1.Version}
	case master.Call_GET_FLAGS:
		r.GetFlags = &master.Response_GetFlags{Flags: v1.Flags(flags)}
	case master.Call_GET_MASTER:
		return r, part("get_master", m.info())
	case master.Call_GET_AGENTS:
		r.GetAgents = c.getAgents()
		return r, completeAgents
	case master.Call_GET_TASKS:
		r.GetTasks = c.getTasks()
	case master.Call_GET_EXECUTORS:
		r.GetExecutors = c.getExecutors()
		return r, completeExecutors
	case master.Call_GET_FRAMEWORKS:
		return r, part("get_frameworks", frameworks())
	case master.Call_GET_ROLES:
		return r, part("get_roles", map[string]any{"roles": []any{map[string]any{"name": "*", "weight": 1.0, "frameworks": []any{map[string]any{"value": Framework}}}}})
	case master.Call_GET_MAINTENANCE_STATUS:
		return r, part("get_maintenance_status", map[string]any{"status": map[string]any{}})
	case master.Call_GET_STATE:
		r.GetState = c.getState()
		return r, func(tree map[string]any) { completeState(tree["get_state"].(map[string]any)) }
	default:
		return nil, nil
	}
	return r, nil
}

func (c *Cluster) getState() *master.Response_GetState {
	return &master.Response_GetState{
		GetTasks: c.getTasks(), GetAgents: c.getAgents(),
		GetExecutors: c.getExecutors(), GetFrameworks: &master.Response_GetFrameworks{},
	}
}

func (m *Master) registry(w http.ResponseWriter) {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.noRegistry:
		v1.Refuse(w, http.StatusForbidden, "")
	case c.leader == m:
		v1.Reply(w, c.registry(m))
	default:
		v1.Reply(w, map[string]any{}) // it has not read the registry
	}
}

// subscriber is a stream of events.
type subscriber struct {
	form  string // of its events
	ended chan struct{}
	once  sync.Once
	wake  chan struct{} // holds one token while something is pending

	mu      sync.Mutex
	pending [][]byte
}

func (s *subscriber) end() { s.once.Do(func() { close(s.ended) }) }

func (s *subscriber) send(ev *master.Event) {
	var data []byte
	var err error
	if s.form == v1.JSON {
		data, err = v1.InJSON(ev, completeEvent)
	} else {
		data, err = ev.Marshal()
	}
	if err != nil {
		panic(fmt.Sprintf("encode event: %v", err))
	}
	s.mu.Lock()
	s.pending = append(s.pending, append([]byte(strconv.Itoa(len(data))+"\n"), data...))
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.pending
	s.pending = nil
	return all
}

// subscribe streams events, in RecordIO, from a snapshot on.
func (m *Master) subscribe(w http.ResponseWriter, r *http.Request, form string) {
	c := m.cluster
	s := &subscriber{form: form, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	c.mu.Lock()
	if c.noStream {
		c.mu.Unlock()
		v1.Refuse(w, http.StatusNotImplemented, "played")
		return
	}
	beat := c.beat()
	seconds := beat.Seconds()
	s.send(&master.Event{Type: master.Event_SUBSCRIBED, Subscribed: &master.Event_Subscribed{
		GetState: c.getState(), HeartbeatIntervalSeconds: &seconds,
	}})
	if !c.mute {
		s.send(&master.Event{Type: master.Event_HEARTBEAT})
	}
	c.subscribers[s] = true
	c.subscribed++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, s)
	}()
	w.Header().Set("Content-Type", form)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	rc := http.NewResponseController(w)
	for {
		select {
		case <-s.wake:
		case <-tick.C:
			c.tellBeat(s)
		case <-s.ended:
			return
		case <-r.Context().Done():
			return
		}
		for _, record := range s.take() {
			if _, err := w.Write(record); err != nil {
				return
			}
		}
		if rc.Flush() != nil {
			return
		}
	}
}
