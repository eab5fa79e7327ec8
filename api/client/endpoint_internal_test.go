package client

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

// names is a name server that a test plays.
type names map[string][]string

func (n names) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	texts, ok := n[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all, nil
}

// resolver is a catalogue that a test plays.
type resolver struct {
	replicas []string
	err      error
}

func (r *resolver) Replicas(context.Context) ([]string, error) { return r.replicas, r.err }

func wantFound(t *testing.T, f *finder, want ...endpoint) {
	t.Helper()
	if got, err := f.find(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestAllAddressesOfANameAreWays(t *testing.T) {
	server := names{"a": {"10.0.0.1", "::ffff:10.0.0.2", "fd00::1"}}
	f := newFinder(Config{Endpoints: []string{"a:1", "10.0.0.3:2", "[::1]:3", "a:1"}})
	f.lookup = server.lookup
	wantFound(t, f, endpoint{"a:1", "10.0.0.1:1"}, endpoint{"a:1", "10.0.0.2:1"}, endpoint{"a:1", "[fd00::1]:1"},
		endpoint{"10.0.0.3:2", "10.0.0.3:2"}, endpoint{"[::1]:3", "[::1]:3"})
	server["a"] = []string{"10.0.0.4"}
	wantFound(t, f, endpoint{"a:1", "10.0.0.4:1"}, endpoint{"10.0.0.3:2", "10.0.0.3:2"}, endpoint{"[::1]:3", "[::1]:3"})
}

func TestWhatIsKnownIsUsedWhileNobodySaysMore(t *testing.T) {
	server, catalogue := names{"a": {"10.0.0.1"}, "b": {"10.0.0.2"}}, &resolver{replicas: []string{"a:1", "b"}}
	f := newFinder(Config{Resolver: catalogue, Port: "7"})
	f.lookup = server.lookup
	all := []endpoint{{"a:1", "10.0.0.1:1"}, {"b:7", "10.0.0.2:7"}}
	wantFound(t, f, all...)
	delete(server, "b")
	wantFound(t, f, all...)
	*catalogue = resolver{err: errors.New("down")}
	wantFound(t, f, all...)
	*catalogue = resolver{} // it has lost everything
	wantFound(t, f, all...)
	*catalogue = resolver{replicas: []string{"10.0.0.9:9", "no/host"}}
	wantFound(t, f, endpoint{"10.0.0.9:9", "10.0.0.9:9"})
}

func TestNothingKnownIsAnError(t *testing.T) {
	down, gone := errors.New("down"), names{}
	for name, cfg := range map[string]Config{
		"a name that nobody knows":   {Endpoints: []string{"a:1"}},
		"a catalogue that is down":   {Resolver: &resolver{err: down}},
		"a catalogue that is empty":  {Resolver: &resolver{}},
		"a catalogue with bad names": {Resolver: &resolver{replicas: []string{":1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFinder(cfg)
			f.lookup = gone.lookup
			if got, err := f.find(t.Context()); err == nil {
				t.Errorf("got %v and no error", got)
			}
		})
	}
}

func TestWhoFailedLastIsTriedLast(t *testing.T) {
	a, b, c := endpoint{"a", "a"}, endpoint{"b", "b"}, endpoint{"c", "c"}
	var s shunned
	s.add(a)
	s.add(b)
	if got, want := s.last([]endpoint{b, a, c}), []endpoint{c, a, b}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.add(a)
	if got, want := s.last([]endpoint{a, b}), []endpoint{b, a}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.forgive(a)
	if got, want := s.last([]endpoint{b, a}), []endpoint{a, b}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
