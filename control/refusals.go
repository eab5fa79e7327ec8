package control

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// refusals writes what HTTP servers have to say to the log, and keeps those who
// hammer at the door from filling it: who fails in the TLS handshake is logged
// with the reason, but the same reason from the same address once a while, and
// not more in all than a person would read. All are counted in the metrics.
type refusals struct {
	log     *slog.Logger
	refused *prometheus.CounterVec
	now     func() time.Time

	mu      sync.Mutex
	seen    map[refusal]*repeats // of what was logged lately, and so bounded as that is
	began   time.Time            // of the period that is counted in
	logged  int                  // in this period
	hosts   map[string]int       // the same, by address
	dropped int                  // not logged since the last line
}

// refusal is what is logged once a while.
type refusal struct{ host, cause string }

// repeats counts what was not logged.
type repeats struct {
	logged time.Time
	silent int
}

// Bounds of what is logged.
const (
	refusalEvery   = time.Minute // the same reason from the same address
	refusalPeriod  = time.Minute
	refusalsLogged = 30  // in a period, from wherever
	refusalsOfHost = 5   // in a period, from one address
	maxCause       = 500 // bytes of what a stranger can make up
)

func newRefusals(log *slog.Logger, refused *prometheus.CounterVec) *refusals {
	return &refusals{log: log, refused: refused, now: time.Now, seen: map[refusal]*repeats{}, hosts: map[string]int{}}
}

// of returns where the server of a listener writes what it has to say.
func (r *refusals) of(listener string) slog.Handler {
	return &refusalHandler{refusals: r, listener: listener, log: r.log.With("listener", listener)}
}

// refusalHandler is the log of one listener's server. The server writes texts,
// of which those about handshakes are known by how they begin.
type refusalHandler struct {
	*refusals
	listener string
	log      *slog.Logger
}

// handshakePrefix begins what net/http says of a handshake that has failed:
// then comes the address, and after a colon the reason.
const handshakePrefix = "http: TLS handshake error from "

// Enabled implements slog.Handler.
func (h *refusalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.log.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *refusalHandler) Handle(ctx context.Context, record slog.Record) error {
	rest, ok := strings.CutPrefix(record.Message, handshakePrefix)
	if !ok {
		return h.log.Handler().Handle(ctx, record)
	}
	from, cause, _ := strings.Cut(rest, ": ")
	h.refused.WithLabelValues(h.listener).Inc()
	if goneAway(cause) {
		// Who checks whether the port is open, and has it not said goodbye.
		h.log.Debug("connection ended in the TLS handshake", "from", from, "cause", cause)
		return nil
	}
	if len(cause) > maxCause {
		cause = strings.ToValidUTF8(cause[:maxCause], "") + "..."
	}
	if args, ok := h.due(from, cause); ok {
		h.log.Warn("connection refused in the TLS handshake", append(args, "from", from, "cause", cause)...)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *refusalHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *refusalHandler) WithGroup(string) slog.Handler { return h }

// goneAway reports whether the other side just ended the connection.
func goneAway(cause string) bool {
	return cause == "EOF" || strings.HasSuffix(cause, "connection reset by peer") || strings.HasSuffix(cause, "broken pipe")
}

// due reports whether a refusal is to be logged, and what else there is to say.
func (r *refusals) due(from, cause string) (args []any, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Sub(r.began) >= refusalPeriod {
		r.began, r.logged = now, 0
		clear(r.hosts)
		for key, seen := range r.seen {
			if now.Sub(seen.logged) >= 2*refusalEvery {
				r.dropped += seen.silent
				delete(r.seen, key)
			}
		}
	}
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	key := refusal{host, cause}
	seen := r.seen[key]
	if seen != nil && now.Sub(seen.logged) < refusalEvery {
		seen.silent++
		return nil, false
	}
	if r.logged >= refusalsLogged || r.hosts[host] >= refusalsOfHost {
		r.dropped++
		return nil, false
	}
	r.logged++
	r.hosts[host]++
	if seen == nil {
		seen = &repeats{}
		r.seen[key] = seen
	}
	if seen.silent > 0 {
		args = append(args, "repeated", seen.silent)
	}
	if r.dropped > 0 {
		args = append(args, "others_not_logged", r.dropped)
	}
	seen.logged, seen.silent, r.dropped = now, 0, 0
	return args, true
}
