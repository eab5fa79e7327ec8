package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flocker-mesos/flocker/api"
)

// clock is one that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func timesAt(path string, c *clock) *times {
	return openTimes(path, c.now, slog.New(slog.DiscardHandler))
}

func TestTimesAreToldByWayAndSize(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	y := timesAt(filepath.Join(t.TempDir(), "times.json"), c)
	for range 99 {
		y.ready(api.WayAttach, 1<<30, 10*time.Millisecond)
	}
	y.ready(api.WayAttach, 1<<20, 3*time.Second)
	y.ready(api.WayAttach, 2<<40, time.Second)
	y.ready(api.WayHere, 5<<30, 0)
	y.abandoned(api.WayMove, 50<<30)
	since, got := y.summary()
	want := []api.VolumeTimes{
		{Way: api.WayHere, UpTo: 10 << 30, Count: 1},
		{Way: api.WayAttach, UpTo: 1 << 30, Count: 100, P50: bound(7), P99: bound(7), P999: 3 * time.Second, Max: 3 * time.Second},
		{Way: api.WayAttach, Count: 1, P50: time.Second, P99: time.Second, P999: time.Second, Max: time.Second},
		{Way: api.WayMove, UpTo: 100 << 30, GaveUp: 1},
	}
	if !since.Equal(c.at) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %+v, want %+v", since, got, want)
	}
}

func TestQuantilesAreNeverTooLowAndHardlyTooHigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(3*time.Hour)), 1, 200).Draw(t, "times")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		y := &tally{}
		for _, d := range all {
			y.observe(time.Duration(d))
		}
		got, below := y.quantile(q), 0
		var largest time.Duration
		for _, d := range all {
			if time.Duration(d) <= got {
				below++
				largest = max(largest, time.Duration(d))
			}
		}
		if float64(below) < q*float64(len(all)) {
			t.Fatalf("%d of %d are within %s, want %g of them", below, len(all), got, q)
		}
		if got > max(firstBound, largest*3/2) && got < bound(bounds) {
			t.Fatalf("got %s, but the largest within is %s", got, largest)
		}
		if y.count() != uint64(len(all)) || len(y.Buckets) > bounds+1 {
			t.Fatalf("got %d in %d buckets", y.count(), len(y.Buckets))
		}
	})
}

func TestTimesOutliveTheAgentAndFadeInTheEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "times.json")
	c := &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	longest := func(y *times) time.Duration {
		_, all := y.summary()
		var d time.Duration
		for _, v := range all {
			d = max(d, v.Max)
		}
		return d
	}
	y := timesAt(file, c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); y.run(ctx) }()
	y.ready(api.WayCreate, 1<<30, time.Minute)
	cancel() // an agent that ends writes what is unwritten
	<-ended
	if err := y.write(); err != nil {
		t.Fatal(err)
	}
	begin := c.at
	for days, want := range map[int]time.Duration{0: time.Minute, 29: time.Minute, 31: time.Minute, 59: time.Minute, 92: time.Second} {
		c.at = begin.Add(time.Duration(days) * 24 * time.Hour)
		y := timesAt(file, c)
		y.ready(api.WayHere, 1, time.Second)
		if days == 92 {
			c.at = c.at.Add(timesHalf + time.Second)
			y.ready(api.WayHere, 1, time.Second)
		}
		if got := longest(y); got != want {
			t.Errorf("after %d days: got %s, want %s", days, got, want)
		}
	}
	// A clock that was far ahead, and was set right.
	c.at = begin.Add(-365 * 24 * time.Hour)
	y = timesAt(file, c)
	y.ready(api.WayHere, 1, time.Second)
	if since := y.current.Since; !since.Equal(c.at) {
		t.Errorf("got %s", since)
	}
}

func TestTimesThatCannotBeReadAreBegunAnew(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	good := filepath.Join(t.TempDir(), "times.json")
	y := timesAt(good, c)
	y.ready(api.WayMove, 1, time.Second)
	if err := y.write(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, all := timesAt(good, c).summary(); len(all) != 1 {
		t.Fatalf("the good file: got %+v", all)
	}
	many := `{"current":{"since":"2026-03-01T00:00:00Z","tallies":[{"way":"move","up_to":0,"buckets":[` + strings.Repeat("0,", 60) + `0],"max":0}]},"before":{"since":"0001-01-01T00:00:00Z","tallies":null}}`
	null := `{"current":{"since":"2026-03-01T00:00:00Z","tallies":[null]},"before":{"since":"0001-01-01T00:00:00Z","tallies":null}}`
	for name, text := range map[string]string{
		"empty":           "",
		"cut":             string(data[:len(data)/2]),
		"a bit changed":   strings.Replace(string(data), `"move"`, `"mole"`, 1),
		"too long":        strings.Repeat(" ", maxTimesFile) + string(data),
		"too many counts": `{"crc32":"` + sum([]byte(many)) + `","record":` + many + `}`,
		"nothing counted": `{"crc32":"` + sum([]byte(null)) + `","record":` + null + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "times.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			y := timesAt(file, c)
			if since, all := y.summary(); len(all) != 0 || !since.Equal(c.at) {
				t.Errorf("got %v, %+v", since, all)
			}
			y.ready(api.WayHere, 1, 0)
			if err := y.write(); err != nil {
				t.Fatal(err)
			}
			if _, all := timesAt(file, c).summary(); len(all) != 1 {
				t.Errorf("written anew: got %+v", all)
			}
		})
	}
}

func TestFullFileOfTimesIsReadAgain(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	file := filepath.Join(t.TempDir(), "times.json")
	y := timesAt(file, c)
	for range 2 {
		for _, way := range api.VolumeWays() {
			for _, size := range []int64{1 << 30, 10 << 30, 100 << 30, 1 << 40, 1 << 50} {
				for i := range bounds + 1 {
					y.ready(way, size, bound(i))
				}
				y.abandoned(way, size)
				y.current.of(way, api.SizeClass(size)).Buckets[0] = 1 << 62
			}
		}
		c.at = c.at.Add(timesHalf + time.Second)
	}
	if err := y.write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() > maxTimesFile/2 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if _, all := timesAt(file, c).summary(); len(all) != 25 {
		t.Errorf("got %d", len(all))
	}
}

func TestWayOfAVolume(t *testing.T) {
	for name, tt := range map[string]struct {
		records []*api.Dataset
		steps   []action
		want    api.VolumeWay
	}{
		"it was here":            {nil, []action{actLook, actBind}, api.WayHere},
		"it was mounted":         {nil, []action{actMount}, api.WayHere},
		"it was attached":        {nil, []action{actAttach, actMount}, api.WayAttach},
		"it was made":            {nil, []action{actCreate, actAttach, actFormat, actMount, actRegister}, api.WayCreate},
		"another node had it":    {[]*api.Dataset{{Waiting: []api.Waiter{{Node: "n"}}}}, []action{actAttach, actMount}, api.WayMove},
		"a lost node had it":     {[]*api.Dataset{{Waiting: []api.Waiter{{Node: "n"}}, Fence: &api.Fence{Node: "m"}}}, []action{actAttach, actMount}, api.WayFence},
		"this node fenced":       {nil, []action{actFence, actAttach, actMount}, api.WayFence},
		"this node was fenced":   {[]*api.Dataset{{Holder: &api.Holder{Node: "n"}, Fence: &api.Fence{Node: "m"}}}, []action{actAttach}, api.WayAttach},
		"others wait for it":     {[]*api.Dataset{{Waiting: []api.Waiter{{Node: "m"}}}}, []action{actAttach}, api.WayAttach},
		"nothing is known of it": {[]*api.Dataset{nil}, nil, api.WayHere},
	} {
		a := &arrival{}
		for _, r := range tt.records {
			a.see(r, "n")
		}
		for _, s := range tt.steps {
			a.step(s)
		}
		if got := a.way(); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
