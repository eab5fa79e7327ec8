package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/pki"
	"github.com/flocker-mesos/flocker/test/lab"
)

// The floor of anything that is asked over the network: net/http with the same
// certificates and nothing behind it, in a process of its own as the control
// service is.

// bareServer is that process.
type bareServer struct {
	process *process
	address string
}

// bareCommand is the argument by which this program becomes the server.
const bareCommand = "bare-server"

func newBareServer(s settings, certs *certificates) (*bareServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	b := &bareServer{address: addresses[0]}
	if b.process, err = s.launcher.start(filepath.Join(s.dir, "bare.log"), self, bareCommand, b.address, certs.dir); err != nil {
		return nil, err
	}
	ctx, cancel := patiently()
	defer cancel()
	return b, lab.Until(ctx, "the bare server listens", func() error {
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// serveBare is the server's main.
func serveBare(address, certs string) error {
	creds, err := pki.Load(certs, pki.ControlName, pki.RoleControl, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	var hop hopFloor
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /wait", hop.wait)
	mux.HandleFunc("POST /wake", hop.wake)
	server := &http.Server{
		Addr: address, Handler: mux, TLSConfig: creds.Server(pki.RoleUser), ReadHeaderTimeout: time.Minute,
	}
	return server.ListenAndServeTLS("", "")
}

// hopFloor answers who waits when somebody wakes it, with the time of that: a
// long poll with nothing around it.
type hopFloor struct {
	mu      sync.Mutex
	waiting []chan time.Time
}

func (h *hopFloor) wait(w http.ResponseWriter, r *http.Request) {
	woken := make(chan time.Time, 1)
	h.mu.Lock()
	h.waiting = append(h.waiting, woken)
	h.mu.Unlock()
	select {
	case at := <-woken:
		fmt.Fprint(w, at.UnixNano())
	case <-r.Context().Done():
	}
}

// wake wakes all, and says how many there were.
func (h *hopFloor) wake(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	fmt.Fprint(w, len(waiting))
	for _, woken := range waiting {
		woken <- time.Now()
	}
}

// hop returns how long it takes from an event at the server until a client that
// has waited for it has the answer.
func (b *bareServer) hop(g *getter) (time.Duration, error) {
	ctx, cancel := patiently()
	defer cancel()
	type answer struct {
		text []byte
		at   time.Time
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		_, text, _, err := g.do(ctx, "https://"+b.address+"/wait", "")
		answered <- answer{text, time.Now(), err}
	}()
	for {
		woken, err := g.post(ctx, "https://"+b.address+"/wake")
		if err != nil {
			return 0, err
		}
		if woken == "1" {
			break
		}
	}
	a := <-answered
	if a.err != nil {
		return 0, a.err
	}
	sent, err := strconv.ParseInt(string(a.text), 10, 64)
	return a.at.Sub(time.Unix(0, sent)), err
}
