package pki

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Expiry is when something ends that a program depends on.
type Expiry struct {
	Role Role   // the program's own, or RoleAuthority
	Name string // the common name
	File string
	Ends time.Time
}

// Expiries returns when the program's certificate ends, and when that above it
// does which ends first: its authority, or an intermediate.
func (c *Credentials) Expiries() []Expiry {
	m := c.current()
	role, _, _ := Identity(m.pair.Leaf)
	above := c.files.Cert // which has the intermediates
	if slices.ContainsFunc(m.authorities, m.authority.Equal) {
		above = c.files.Authority
	}
	return []Expiry{
		{role, m.pair.Leaf.Subject.CommonName, c.files.Cert, m.pair.Leaf.NotAfter},
		{RoleAuthority, m.authority.Subject.CommonName, above, m.authority.NotAfter},
	}
}

// How often the files are looked at, and how often one is warned of the same end.
const (
	lookEvery = time.Minute
	warnEvery = 24 * time.Hour
)

// Watch looks at the files until ctx ends. So what has changed is taken up, and
// what is wrong with it is said, also while nobody connects. It warns of what
// ends soon: at once, daily, and when the end has changed.
func (c *Credentials) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	c.watch(ctx, tick.C)
}

func (c *Credentials) watch(ctx context.Context, tick <-chan time.Time) {
	var due reminder
	for {
		if ends := due.of(c.now(), c.Expiries()); len(ends) > 0 {
			c.warn(ends)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

func (c *Credentials) warn(ends []Expiry) {
	for _, e := range ends {
		left := e.Ends.Sub(c.now())
		if left < 0 {
			c.log.Error("the certificate has expired, nobody accepts it any more; put a new one in its place, a restart is not needed",
				"role", e.Role, "name", e.Name, "file", e.File, "expired", e.Ends)
			continue
		}
		c.log.Warn("the certificate expires soon; put a new one in its place, a restart is not needed",
			"role", e.Role, "name", e.Name, "file", e.File, "expires", e.Ends, "days", int(left.Hours()/24))
	}
}

// reminder remembers what one was warned of, and when.
type reminder struct {
	last   []Expiry
	warned time.Time
}

// of returns what one is to be warned of now.
func (r *reminder) of(now time.Time, ends []Expiry) []Expiry {
	soon := slices.DeleteFunc(slices.Clone(ends), func(e Expiry) bool { return e.Ends.Sub(now) >= ExpiryWarning })
	expired := func(e Expiry) bool { return e.Ends.Before(now) }
	same := slices.EqualFunc(soon, r.last, func(a, b Expiry) bool {
		return a == b && expired(a) == b.Ends.Before(r.warned)
	})
	if same && now.Sub(r.warned) < warnEvery {
		return nil
	}
	r.last, r.warned = soon, now
	return soon
}

// expiryMetric is when certificates end, for Prometheus.
var expiryMetric = prometheus.NewDesc("flocker_certificate_expiry_timestamp_seconds",
	"When a certificate that this program depends on ends, in seconds since 1970: its own, and its authority.", []string{"role", "name"}, nil)

// Describe implements prometheus.Collector.
func (c *Credentials) Describe(ch chan<- *prometheus.Desc) { ch <- expiryMetric }

// Collect implements prometheus.Collector.
func (c *Credentials) Collect(ch chan<- prometheus.Metric) {
	for _, e := range c.Expiries() {
		ch <- prometheus.MustNewConstMetric(expiryMetric, prometheus.GaugeValue, float64(e.Ends.Unix()), string(e.Role), e.Name)
	}
}
