package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Resolver finds the replicas of the control service, where they are not a
// list that stays.
type Resolver interface {
	// Replicas returns the replicas to be called just now as HOST or HOST:PORT.
	// It is called whenever a connection is needed, by any number of goroutines.
	// While it fails, the replicas that it named last are called.
	Replicas(ctx context.Context) ([]string, error)
}

// endpoint is one way to one replica. Name is what it was called, HOST:PORT,
// and what its certificate may be for; address is what is dialled. They differ
// where the host is a name, which may have several addresses.
type endpoint struct{ name, address string }

func (e endpoint) String() string {
	if e.name == e.address {
		return e.name
	}
	return e.name + " (" + e.address + ")"
}

// host returns the name without the port.
func (e endpoint) host() string {
	host, _, err := net.SplitHostPort(e.name)
	if err != nil {
		return e.name
	}
	return host
}

// hostPort completes what a user calls a replica.
func hostPort(text, port string) (string, error) {
	name := strings.TrimSpace(text)
	if _, _, err := net.SplitHostPort(name); err != nil {
		name = net.JoinHostPort(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), port)
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil || host == "" || port == "" || strings.ContainsAny(host, "/ ,") {
		return "", fmt.Errorf("endpoint %q is not HOST or HOST:PORT", text)
	}
	return name, nil
}

// resolveTimeout bounds how long finding the replicas may take.
const resolveTimeout = 3 * time.Second

// finder finds the endpoints to connect to. It asks anew each time, and falls
// back to what it was told before: a name server or a catalogue that is down
// keeps nobody from a replica that is known.
type finder struct {
	cfg    Config
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	mu    sync.Mutex
	names []string              // as a Resolver gave them last
	known map[string][]endpoint // by name
}

func newFinder(cfg Config) *finder {
	return &finder{
		cfg: cfg, known: map[string][]endpoint{},
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

// find returns all ways to the replicas, none twice. It fails if there is none.
func (f *finder) find(ctx context.Context) ([]endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	names, failure := f.replicas(ctx)
	found := make([][]endpoint, len(names))
	failures := make([]error, len(names))
	var lookups sync.WaitGroup
	for i, name := range names {
		lookups.Go(func() { found[i], failures[i] = f.resolve(ctx, name) })
	}
	lookups.Wait()
	var all []endpoint
	seen := map[endpoint]bool{}
	for _, some := range found {
		for _, e := range some {
			if !seen[e] {
				seen[e] = true
				all = append(all, e)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("find the control service: %w", errors.Join(append(failures, failure)...))
	}
	return all, nil
}

// replicas returns what the replicas are called.
func (f *finder) replicas(ctx context.Context) ([]string, error) {
	if f.cfg.Resolver == nil {
		return f.cfg.Endpoints, nil
	}
	texts, err := f.cfg.Resolver.Replicas(ctx)
	if err == nil && len(texts) == 0 {
		err = errors.New("there is no replica of it")
	}
	var names []string
	for _, text := range texts {
		name, mistake := hostPort(text, f.cfg.Port)
		if mistake != nil {
			err = errors.Join(err, mistake)
			continue
		}
		names = append(names, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(names) > 0 {
		f.names = names
	}
	return f.names, err
}

// resolve returns the ways to a replica, as known before where its name cannot
// be looked up now.
func (f *finder) resolve(ctx context.Context, name string) ([]endpoint, error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", name, err)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []endpoint{{name, name}}, nil
	}
	addresses, err := f.lookup(ctx, host)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		return f.known[name], fmt.Errorf("look up %s: %w", host, err)
	}
	all := make([]endpoint, len(addresses))
	for i, a := range addresses {
		all[i] = endpoint{name, net.JoinHostPort(a.Unmap().String(), port)}
	}
	f.known[name] = all
	return all, nil
}

// shunTime is for how long an endpoint that has failed is the last one to be
// tried again.
const shunTime = 30 * time.Second

// shunned are endpoints that have failed a short while ago. The zero value is
// ready to use.
type shunned struct {
	mu    sync.Mutex
	until map[endpoint]time.Time
}

// add notes that an endpoint has failed.
func (s *shunned) add(e endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[endpoint]time.Time{}
	}
	now := time.Now()
	maps.DeleteFunc(s.until, func(_ endpoint, until time.Time) bool { return now.After(until) })
	s.until[e] = now.Add(shunTime)
}

// forgive notes that an endpoint answers again.
func (s *shunned) forgive(e endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, e)
}

// last puts the endpoints that have failed behind all others, and among them
// those last that have failed last.
func (s *shunned) last(all []endpoint) []endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var good, bad []endpoint
	for _, e := range all {
		if until, ok := s.until[e]; ok && now.Before(until) {
			bad = append(bad, e)
		} else {
			good = append(good, e)
		}
	}
	slices.SortStableFunc(bad, func(a, b endpoint) int { return s.until[a].Compare(s.until[b]) })
	return append(good, bad...)
}
