package control_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store/embedded"
)

// embeddedReplica runs a replica on a file.
func embeddedReplica(b *testing.B) *control.Replica {
	b.Helper()
	log, err := embedded.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return runReplica(b, log)
}

// concurrently spreads b.N calls over clients and reports calls per second.
func concurrently(b *testing.B, clients int, call func(i int64)) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	before := cpu(b)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				call(i)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients, "-clients"), func(b *testing.B) {
			r := embeddedReplica(b)
			concurrently(b, clients, func(i int64) {
				if _, err := r.Do(b.Context(), create(newID(), fmt.Sprint("name-", i))); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkRESTCreate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients, "-clients"), func(b *testing.B) {
			w := newWorld(b)
			users := make([]*client.Client, 8) // 64 callers, 8 connections
			for i := range users {
				users[i] = w.user()
			}
			concurrently(b, clients, func(i int64) {
				_, err := users[i%int64(len(users))].Create(b.Context(), client.CreateRequest{Primary: nodeA,
					Metadata: map[string]string{"name": fmt.Sprint("name-", i)}}, "")
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// fillWith creates datasets, as many as are wanted, on nodes that are never there.
func fillWith(b *testing.B, r *control.Replica, count int) {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(count); i = next.Add(1) {
				c := create(newID(), fmt.Sprint("filler-", i))
				c.Primary = api.NodeID(fmt.Sprintf("9c1d2e3f-7a6b-4c5d-8e9f-%012d", i%1000))
				if _, err := r.Do(b.Context(), c); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkCreateBeside compares a create beside few datasets with one beside
// many, in turns, so that whatever else the machine does falls on both.
func BenchmarkCreateBeside(b *testing.B) {
	sizes := []int{100, 10_000}
	var replicas []*control.Replica
	for _, beside := range sizes {
		r := embeddedReplica(b)
		fillWith(b, r, beside)
		replicas = append(replicas, r)
	}
	took := make([][]time.Duration, len(sizes))
	for b.Loop() {
		for i, r := range replicas {
			id, started := newID(), time.Now()
			if _, err := r.Do(b.Context(), create(id, "name")); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(started))
			if _, err := r.Do(b.Context(), cluster.Delete{At: time.Now(), ID: id}); err != nil {
				b.Fatal(err)
			}
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])/2].Microseconds())
	}
	b.ReportMetric(median(0), "p50-us-beside-100")
	b.ReportMetric(median(1), "p50-us-beside-10000")
	b.ReportMetric(median(1)/median(0), "ratio")
}

func reportQuantiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// BenchmarkChangeToStream measures from the user's request to the agent's
// event, commit included.
func BenchmarkChangeToStream(b *testing.B) {
	for _, size := range []struct{ agents, datasets int }{{10, 100}, {10, 10_000}, {200, 10_000}} {
		b.Run(fmt.Sprintf("%d-agents/%d-datasets", size.agents, size.datasets), func(b *testing.B) {
			w := newWorld(b, func(c *control.Config) { c.Heartbeat = time.Minute })
			fillWith(b, w.service.Replica(), size.datasets)
			for i := range size.agents {
				w.connect(fmt.Sprintf("9c1d2e3f-7a6b-4c5d-8e9f-%012d", i))
			}
			s, _ := w.connect(nodeA)
			user := w.user()
			toStream, toAnswer := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
			for b.Loop() {
				id := newID()
				started := time.Now()
				answered := make(chan time.Duration, 1)
				go func() {
					_, err := user.Create(b.Context(), client.CreateRequest{ID: id, Primary: nodeA}, "")
					if err != nil {
						b.Error(err)
					}
					answered <- time.Since(started)
				}()
				for seen := false; !seen; {
					seen = slices.ContainsFunc(w.next(s).Datasets, func(d *api.Dataset) bool { return d.ID == id })
				}
				toStream = append(toStream, time.Since(started))
				toAnswer = append(toAnswer, <-answered)
			}
			reportQuantiles(b, toStream)
			slices.Sort(toAnswer)
			b.ReportMetric(float64(toAnswer[len(toAnswer)/2].Microseconds()), "answer-p50-us")
		})
	}
}

func BenchmarkConfigurationOf10000(b *testing.B) {
	w := newWorld(b)
	fillWith(b, w.service.Replica(), 10_000)
	c := w.raw()
	get := func(b *testing.B, header ...string) *http.Response {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://"+w.cfg.Listen+datasets, nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := c.http.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	b.Run("marshal-alone", func(b *testing.B) {
		for b.Loop() {
			var all []cluster.Configuration
			for d := range w.service.Replica().State().Datasets() {
				all = append(all, cluster.ConfigurationOf(d))
			}
			if _, err := json.Marshal(all); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get-after-a-change", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if _, err := w.service.Replica().Do(b.Context(), create(newID(), "")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			get(b)
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			get(b)
		}
	})
	b.Run("get-unchanged", func(b *testing.B) {
		etag := get(b).Header.Get("ETag")
		for b.Loop() {
			if got := get(b, "If-None-Match", etag).StatusCode; got != http.StatusNotModified {
				b.Fatal(got)
			}
		}
	})
	b.Run("version", func(b *testing.B) { // the bare round trip
		path := "https://" + w.cfg.Listen + "/v1/version"
		for b.Loop() {
			resp, err := c.http.Get(path)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkIdle reports how busy agents that have nothing to say keep a core,
// their own half included: 200 with a heartbeat of a second are as 1,000 with
// one of five.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b, func(c *control.Config) { c.Heartbeat = time.Second })
	for i := range 200 {
		w.connect(fmt.Sprintf("9c1d2e3f-7a6b-4c5d-8e9f-%012d", i))
	}
	for b.Loop() {
		before := cpu(b)
		select {
		case <-b.Context().Done():
		case <-time.After(10 * time.Second):
		}
		b.ReportMetric((cpu(b)-before).Seconds()*10, "%-of-a-core")
	}
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemory reports what a dataset that was used and a connected agent
// cost. The agent's own half is in the same process and in the figure.
func BenchmarkMemory(b *testing.B) {
	const datasetCount, agentCount = 10_000, 200
	for b.Loop() {
		w := newWorld(b, func(c *control.Config) { c.Heartbeat = time.Minute })
		r := w.service.Replica()
		if _, err := r.Do(b.Context(), cluster.NodeConnect{At: time.Now().UTC(), Node: nodeA, Hello: hello(nodeA)}); err != nil {
			b.Fatal(err)
		}
		before := heap()
		fillWith(b, r, datasetCount)
		var wg sync.WaitGroup
		ids := make(chan api.DatasetID)
		for range 16 {
			wg.Go(func() {
				for id := range ids {
					name := string(id)
					res, err := r.Do(b.Context(), cluster.Claim{At: time.Now().UTC(), Node: nodeA, Stream: 1, ID: id})
					if err != nil {
						b.Error(err)
						return
					}
					_, err = r.Do(b.Context(), cluster.Report{At: time.Now().UTC(), Node: nodeA, Stream: 1, Datasets: []api.DatasetReport{{
						State: api.DatasetState{ID: id, Epoch: res.Dataset.Epoch, Phase: api.PhaseMounted, Path: "/flocker/" + name, Device: "/dev/loop7",
							Since: time.Now(), Consumers: []api.Consumer{{ID: name, Kind: api.ConsumerMesos, App: "/some/app", Since: time.Now()}}},
						Volume: &api.Volume{ID: name, Backend: "loopback", Size: 10 << 30}}}})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		for d := range r.State().Datasets() {
			ids <- d.ID
		}
		close(ids)
		wg.Wait()
		after := heap()
		b.ReportMetric((after-before)/datasetCount, "B/dataset")
		for i := range agentCount {
			w.connect(fmt.Sprintf("9c1d2e3f-7a6b-4c5d-8e9f-%012d", i))
		}
		b.ReportMetric((heap()-after)/agentCount, "B/agent+server")
		w.stop()
	}
}
