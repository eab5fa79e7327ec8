package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

const (
	// timesHalf is how long times are counted before those of before are
	// forgotten: what is shown is of the last one to two of them. A storage system
	// that was replaced should not be remembered for ever.
	timesHalf = 30 * 24 * time.Hour
	// maxTimesFile bounds the file of times in bytes. A full one has some tenths
	// of it.
	maxTimesFile = 256 << 10
)

// The bounds of what is counted together: from a millisecond on, two for each
// doubling, up to an hour and a half.
const (
	firstBound = time.Millisecond
	bounds     = 45
)

// boundOf returns the bucket of a time, and bound the longest time of a bucket.
// The last one has no bound.
func boundOf(d time.Duration) int {
	if d <= firstBound {
		return 0
	}
	return min(int(math.Ceil(2*math.Log2(float64(d)/float64(firstBound))-1e-9)), bounds)
}

func bound(i int) time.Duration {
	return time.Duration(float64(firstBound) * math.Pow(2, float64(i)/2))
}

// tally counts the volumes of one way and size.
type tally struct {
	Way     api.VolumeWay `json:"way"`
	UpTo    int64         `json:"up_to"`
	Buckets []uint64      `json:"buckets"` // without the empty ones at the end
	Max     time.Duration `json:"max"`
	GaveUp  uint64        `json:"gave_up,omitempty"`
}

func (t *tally) count() uint64 {
	var n uint64
	for _, b := range t.Buckets {
		n += b
	}
	return n
}

// quantile returns a time that so many of the volumes did not exceed.
func (t *tally) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(t.count())))
	var n uint64
	for i, b := range t.Buckets {
		if n += b; n >= rank && n > 0 && i < bounds {
			return min(bound(i), t.Max)
		}
	}
	return t.Max
}

func (t *tally) observe(d time.Duration) {
	t.bump(boundOf(d), 1)
	t.Max = max(t.Max, d)
}

func (t *tally) bump(i int, n uint64) {
	for len(t.Buckets) <= i {
		t.Buckets = append(t.Buckets, 0)
	}
	t.Buckets[i] += n
}

// add adds what another tally has counted.
func (t *tally) add(o *tally) {
	for i, n := range o.Buckets {
		t.bump(i, n)
	}
	t.Max, t.GaveUp = max(t.Max, o.Max), t.GaveUp+o.GaveUp
}

// half is what was counted in one stretch of time.
type half struct {
	Since   time.Time `json:"since"`
	Tallies []*tally  `json:"tallies"`
}

func (h *half) of(way api.VolumeWay, upTo int64) *tally {
	for _, t := range h.Tallies {
		if t.Way == way && t.UpTo == upTo {
			return t
		}
	}
	t := &tally{Way: way, UpTo: upTo}
	h.Tallies = append(h.Tallies, t)
	return t
}

// times is how long volumes took on this node to be ready, from when they were
// asked for. It is on disk, in a file of a bounded size, because the longest ones
// are rare; nothing waits for it to be written.
type times struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	seconds *prometheus.HistogramVec
	gaveUp  *prometheus.CounterVec

	changed chan struct{} // holds one token while something is unwritten

	mu      sync.Mutex
	current half
	before  half // what was counted before that
}

// openTimes reads the file of times. One that cannot be read is begun anew: it is
// advice for people, which no volume depends on.
func openTimes(path string, now func() time.Time, log *slog.Logger) *times {
	t := &times{
		path: path, log: log, now: now, changed: make(chan struct{}, 1),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flocker_agent_volume_ready_seconds", Help: "Time from when a volume was asked for until it was ready, by how it came to be.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20), // 1 ms to 9 min
		}, []string{"way"}),
		gaveUp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flocker_agent_volume_gave_up_total", Help: "Volumes that were not ready when their containers had waited as long as they may.",
		}, []string{"way"}),
	}
	for _, way := range api.VolumeWays() {
		t.seconds.WithLabelValues(string(way))
		t.gaveUp.WithLabelValues(string(way))
	}
	data, err := host.ReadPrivate(path, maxTimesFile)
	if err == nil {
		err = t.decode(data)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the times that volumes took are forgotten: their file cannot be read", "file", path, "cause", err)
			t.removeUnreadable()
		}
		t.current, t.before = half{Since: now()}, half{}
	}
	return t
}

// timesFile is what the file has in its envelope.
type timesFile struct {
	Current half `json:"current"`
	Before  half `json:"before"`
}

func (t *times) decode(data []byte) error {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if got := sum(e.Record); got != e.Sum {
		return fmt.Errorf("checksum is %s, should be %s", got, e.Sum)
	}
	var f timesFile
	if err := json.Unmarshal(e.Record, &f); err != nil {
		return err
	}
	for _, h := range []*half{&f.Current, &f.Before} {
		for _, y := range h.Tallies {
			if y == nil || len(y.Buckets) > bounds+1 {
				return errors.New("it was written by another version")
			}
		}
	}
	t.current, t.before = f.Current, f.Before
	return nil
}

func (t *times) encode() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record, err := json.Marshal(timesFile{Current: t.current, Before: t.before})
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Sum: sum(record), Record: record})
}

// ready counts a volume that is ready.
func (t *times) ready(way api.VolumeWay, size int64, took time.Duration) {
	took = max(took, 0)
	t.seconds.WithLabelValues(string(way)).Observe(took.Seconds())
	t.count(way, size, func(y *tally) { y.observe(took) })
}

// abandoned counts a volume that was not ready in time.
func (t *times) abandoned(way api.VolumeWay, size int64) {
	t.gaveUp.WithLabelValues(string(way)).Inc()
	t.count(way, size, func(y *tally) { y.GaveUp++ })
}

func (t *times) count(way api.VolumeWay, size int64, into func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A clock that was set back must not keep the present half for ever.
	if age := t.now().Sub(t.current.Since); age > timesHalf || age < -timesHalf {
		t.current, t.before = half{Since: t.now()}, t.current
	}
	into(t.current.of(way, api.SizeClass(size)))
	select {
	case t.changed <- struct{}{}:
	default: // it is going to be written
	}
}

// summary is all that was counted, the quickest ways and smallest sizes first.
func (t *times) summary() (since time.Time, all []api.VolumeTimes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since = t.current.Since
	var total half
	for _, h := range []half{t.before, t.current} {
		for _, y := range h.Tallies {
			total.of(y.Way, y.UpTo).add(y)
		}
	}
	if len(t.before.Tallies) > 0 {
		since = t.before.Since
	}
	order := api.VolumeWays()
	slices.SortFunc(total.Tallies, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Way), slices.Index(order, b.Way)), cmp.Compare(uint64(a.UpTo-1), uint64(b.UpTo-1)))
	})
	for _, y := range total.Tallies {
		all = append(all, api.VolumeTimes{
			Way: y.Way, UpTo: y.UpTo, Count: y.count(), P50: y.quantile(0.5), P99: y.quantile(0.99), P999: y.quantile(0.999), Max: y.Max, GaveUp: y.GaveUp,
		})
	}
	return since, all
}
