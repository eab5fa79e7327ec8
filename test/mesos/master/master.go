package master

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/master"
)

const protobuf = "application/x-protobuf"

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
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1", m.operate)
	mux.HandleFunc("GET /registrar(1)/registry", m.registry)
	var ctx context.Context
	ctx, m.end = context.WithCancel(context.Background())
	m.server = &http.Server{
		Handler: m.guarded(mux), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	m.serving.Go(func() { _ = m.server.Serve(l) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.masters = append(c.masters, m)
	if c.leader == nil && len(c.masters) == 1 {
		c.leader = m
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

// guarded refuses who is to be refused, before anything else.
func (m *Master) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		status := m.status
		m.mu.Unlock()
		if status != 0 {
			http.Error(w, "played", status)
			return
		}
		m.cluster.mu.Lock()
		wanted, password := m.cluster.user, m.cluster.password
		m.cluster.mu.Unlock()
		if user, given, _ := r.BasicAuth(); wanted != "" && (user != wanted || given != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="mesos-master-readonly"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// operate answers the operator API: the one who leads does, the others send
// their callers on.
func (m *Master) operate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the caller has gone
	}
	m.cluster.mu.Lock()
	leader := m.cluster.leader
	m.cluster.mu.Unlock()
	switch {
	case leader == nil:
		http.Error(w, "No leader elected", http.StatusServiceUnavailable)
		return
	case leader != m:
		w.Header().Set("Location", "//"+leader.address+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	case r.Header.Get("Content-Type") != protobuf || r.Header.Get("Accept") != protobuf:
		http.Error(w, "this master speaks protobuf alone", http.StatusUnsupportedMediaType)
		return
	}
	call := new(master.Call)
	if err := call.Unmarshal(body); err != nil {
		http.Error(w, "Failed to parse body into Call: "+err.Error(), http.StatusBadRequest)
		return
	}
	if call.Type == master.Call_SUBSCRIBE {
		m.subscribe(w, r)
		return
	}
	answer, ok := m.answer(call)
	if !ok {
		http.Error(w, "Not implemented", http.StatusNotImplemented)
		return
	}
	data, err := answer.Marshal()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", protobuf)
	_, _ = w.Write(data)
}

func (m *Master) answer(call *master.Call) (*master.Response, bool) {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	switch call.Type {
	case master.Call_GET_HEALTH:
		return &master.Response{Type: master.Response_GET_HEALTH, GetHealth: &master.Response_GetHealth{Healthy: true}}, true
	case master.Call_GET_AGENTS:
		return &master.Response{Type: master.Response_GET_AGENTS, GetAgents: c.getAgents()}, true
	case master.Call_GET_TASKS:
		return &master.Response{Type: master.Response_GET_TASKS, GetTasks: c.getTasks()}, true
	case master.Call_GET_STATE:
		return &master.Response{Type: master.Response_GET_STATE, GetState: c.getState()}, true
	default:
		return nil, false
	}
}

func (c *Cluster) getState() *master.Response_GetState {
	return &master.Response_GetState{
		GetTasks: c.getTasks(), GetAgents: c.getAgents(),
		GetExecutors: &master.Response_GetExecutors{}, GetFrameworks: &master.Response_GetFrameworks{},
	}
}

func (m *Master) registry(w http.ResponseWriter, _ *http.Request) {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noRegistry {
		http.Error(w, "", http.StatusForbidden)
		return
	}
	data := []byte("{}") // a master that does not lead has not read it
	if c.leader == m {
		var err error
		if data, err = c.registry(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

// subscriber is a stream of events.
type subscriber struct {
	ended chan struct{}
	once  sync.Once
	wake  chan struct{} // holds one token while something is pending

	mu      sync.Mutex
	pending [][]byte
}

func (s *subscriber) end() { s.once.Do(func() { close(s.ended) }) }

func (s *subscriber) send(ev *master.Event) {
	data, err := ev.Marshal()
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
func (m *Master) subscribe(w http.ResponseWriter, r *http.Request) {
	c := m.cluster
	s := &subscriber{ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	c.mu.Lock()
	if c.noStream {
		c.mu.Unlock()
		http.Error(w, "played", http.StatusNotImplemented)
		return
	}
	beat := c.beat()
	seconds := beat.Seconds()
	s.send(&master.Event{Type: master.Event_SUBSCRIBED, Subscribed: &master.Event_Subscribed{
		GetState: c.getState(), HeartbeatIntervalSeconds: &seconds,
	}})
	c.subscribers[s] = true
	c.subscribed++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, s)
	}()
	w.Header().Set("Content-Type", protobuf)
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
