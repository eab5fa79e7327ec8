package double

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Options say what a double is like.
type Options struct {
	Marathons int      // 1 where it is 0
	Hosts     []string // that tasks are launched on, in turn
	User      string   // by basic authentication, with Password
	Password  string
	Token     func() string // accepted as token=..., nil for no such thing
	TLS       bool
	// Listen returns what each of the Marathons listens on, nil for a free port of
	// this machine.
	Listen func(i int) (net.Listener, error)
	// Outstanding is how many events a reader may leave unread before it is cut off,
	// 0 for 1024.
	Outstanding int
	Heartbeat   time.Duration // between blank lines in the events, 10 s where it is 0
	// Launcher starts and kills the tasks; nil leaves their states to the test.
	Launcher Launcher
	// Auto has tasks run as soon as they are launched, and end as soon as they
	// are killed.
	Auto bool
	// Offers leaves it to the test which instance is launched where (Double.Offer),
	// and what becomes of its tasks (Double.Update).
	Offers bool
	// Linger is for how long the connection of a reader that was too slow stays open
	// and silent; the real one's does for some 28 s.
	Linger time.Duration
}

// Launcher starts and kills tasks. Its methods return at once; what becomes of the
// tasks it tells by Update. A pod's instance has one id for all of its tasks.
type Launcher interface {
	Launch(t Launch)
	Kill(task string)
}

// Launch is a task that is to be started.
type Launch struct {
	Task, App, Host string
	Definition      json.RawMessage // of the app or pod
	Pod             bool
}

// Double is a cluster of Marathons that is played.
type Double struct {
	opts    Options
	servers []*httptest.Server

	mu          sync.Mutex
	framework   string
	leader      int  // of servers, -1 for none
	dead        bool // the leader is, and none is elected yet
	apps        map[string]*app
	dying       map[string]*app // destroyed, and not without tasks yet
	groups      map[string]*group
	byInstance  map[string]*instance // those of the past too
	owners      map[string]*app      // of instances
	waiting     map[string]bool      // instances that wait for an offer
	port        int
	deployments []*deployment
	streams     map[*stream]bool
	next        int // of the hosts
	clock       int // of versions
	failing     func(*http.Request) int
	filter      func(kind string) int // how often an event of a kind is sent
	requests    map[string]int
	changed     chan struct{} // closed, and replaced, at every change
	hidden      bool          // apps are not shown
	// rootVersions are the definitions of all apps at the versions of the root group.
	rootVersions map[string]map[string]map[string]any
}

// Start starts a double, which ends with the test.
func Start(tb testing.TB, opts Options) *Double {
	tb.Helper()
	d, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	return d
}

// New starts a double. Close it.
func New(opts Options) (*Double, error) {
	d := &Double{
		opts: opts, framework: uuid.NewString() + "-0000", apps: map[string]*app{}, dying: map[string]*app{},
		groups: map[string]*group{}, byInstance: map[string]*instance{}, owners: map[string]*app{}, waiting: map[string]bool{}, streams: map[*stream]bool{},
		rootVersions: map[string]map[string]map[string]any{},
		requests:     map[string]int{}, changed: make(chan struct{}),
	}
	if len(opts.Hosts) == 0 {
		d.opts.Hosts = []string{"host1", "host2"}
	}
	if opts.Outstanding == 0 {
		d.opts.Outstanding = 1024
	}
	if opts.Heartbeat == 0 {
		d.opts.Heartbeat = 10 * time.Second
	}
	for i := range max(opts.Marathons, 1) {
		s := httptest.NewUnstartedServer(d.handler(i))
		if opts.Listen != nil {
			listener, err := opts.Listen(i)
			if err != nil {
				d.Close()
				return nil, fmt.Errorf("listen as Marathon: %w", err)
			}
			_ = s.Listener.Close()
			s.Listener = listener
		}
		if opts.TLS {
			s.StartTLS()
		} else {
			s.Start()
		}
		d.servers = append(d.servers, s)
	}
	return d, nil
}

// Close ends the double.
func (d *Double) Close() {
	d.mu.Lock()
	d.closeStreams()
	d.mu.Unlock()
	for _, s := range d.servers {
		s.CloseClientConnections()
		s.Close()
	}
}

// URLs returns where the Marathons are.
func (d *Double) URLs() []string {
	urls := make([]string, len(d.servers))
	for i, s := range d.servers {
		urls[i] = s.URL
	}
	return urls
}

func (d *Double) leaderURL() string { return d.servers[max(d.leader, 0)].URL }

// Do has the leader answer a request without a network, and returns the status and
// the body.
func (d *Double) Do(method, path string, body any) (status int, answer string) {
	var text []byte
	if body != nil {
		text = must(body)
	}
	w := httptest.NewRecorder()
	d.serve(w, httptest.NewRequest(method, path, bytes.NewReader(text)))
	return w.Code, w.Body.String()
}

// ServeHTTP answers as the leader.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.serve(w, r) }

// Server returns one of the servers, for its certificate.
func (d *Double) Server(i int) *httptest.Server { return d.servers[i] }

// SetLeader has another Marathon be the leader, or none (-1). All streams end.
func (d *Double) SetLeader(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leader, d.dead = i, false
	d.closeStreams()
}

// KillLeader has the leader die. Until SetLeader names another one, the others go on
// naming it: they answer 502 in HTML, and 302 to it for events.
func (d *Double) KillLeader() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	d.closeStreams()
	d.servers[d.leader].CloseClientConnections()
	_ = d.servers[d.leader].Listener.Close()
}

// CutStreams ends all streams of events.
func (d *Double) CutStreams() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closeStreams()
}

// Fail has requests answered with a status, those for which it is not 0; nil ends
// that.
func (d *Double) Fail(status func(*http.Request) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = status
}

// Filter says how often each event is sent: never, once or more often; nil for once.
func (d *Double) Filter(times func(kind string) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.filter = times
}

// Lose has Marathon's records lost: it knows no apps, and with another framework
// not who it was. No event tells of that.
func (d *Double) Lose(framework bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps, d.dying, d.groups, d.waiting = map[string]*app{}, map[string]*app{}, map[string]*group{}, map[string]bool{}
	d.deployments = nil
	if framework {
		d.framework = uuid.NewString() + "-0000"
	}
	d.announce()
}

// Hide has no apps shown, as to a caller without the right to see them, or by a leader
// that has not read its records.
func (d *Double) Hide(hidden bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hidden = hidden
}

// Requests returns how often something was asked for, such as "GET /v2/apps".
func (d *Double) Requests(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests[what]
}

// Streams returns how many readers follow the events.
func (d *Double) Streams() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.streams)
}

// Framework returns Mesos' id of this Marathon.
func (d *Double) Framework() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.framework
}

// Task is a task as the double has it.
type Task struct {
	ID, App, Host, State, Version string
}

// Tasks returns the tasks of an app or pod that have not ended, oldest first; also of one
// that was destroyed.
func (d *Double) Tasks(id string) []Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.apps[normal(id)]
	if a == nil {
		a = d.dying[normal(id)]
	}
	if a == nil {
		return nil
	}
	var out []Task
	for _, in := range a.instances {
		if in.live() {
			for _, t := range in.tasks {
				out = append(out, Task{in.taskID(t), a.id, in.host, stateOf(in.condition), in.version})
			}
		}
	}
	return out
}

// Await waits until a condition holds of the double.
func (d *Double) Await(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-tb.Context().Done():
			tb.Fatalf("%s: %v", what, tb.Context().Err())
		case <-time.After(30 * time.Second):
			tb.Fatalf("%s: it has not come to that", what)
		}
	}
}

// Instances returns the ids of an app's instances, also of those that wait for an offer,
// oldest first.
func (d *Double) Instances(id string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for _, a := range []*app{d.apps[normal(id)], d.dying[normal(id)]} {
		if a == nil {
			continue
		}
		for _, in := range a.instances {
			ids = append(ids, in.id)
		}
	}
	return ids
}

// announce wakes the waiters of Await. The caller has the mutex.
func (d *Double) announce() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Double) version() string {
	d.clock++
	return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(d.clock) * time.Second).Format("2006-01-02T15:04:05.000Z")
}

func sortedApps(apps map[string]*app) []*app {
	return slices.SortedFunc(maps.Values(apps), func(a, b *app) int { return strings.Compare(a.id, b.id) })
}

func must(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %v: %v", v, err))
	}
	return text
}
