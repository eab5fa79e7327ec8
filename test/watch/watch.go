package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/lab"
)

// period is between two looks.
const period = 50 * time.Millisecond

// Watch looks at a cluster until it is stopped.
type Watch struct {
	cluster *cluster.Cluster
	images  *images
	records records

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	anomalies []string
	looks     Looks
	uses      map[*Use]bool
	found     chan struct{}
}

// Looks counts what was looked at.
type Looks struct {
	Devices  int // at all loop devices and mount tables
	Records  int // at the log together with the places of all images
	Moves    int // of images, each of which was seen
	Attaches int // the moves to a machine
	Uses     int // of volumes, each watched from its begin to its end
}

// Start watches a cluster of which no agent runs yet.
func Start(c *cluster.Cluster) (*Watch, error) {
	w := &Watch{cluster: c, records: newRecords(), uses: map[*Use]bool{}, found: make(chan struct{})}
	var instances []string
	for _, n := range c.Nodes {
		instances = append(instances, n.Instance)
	}
	var err error
	if w.images, err = watchImages(c.Lab.SAN, instances, w.left, w.report); err != nil {
		return nil, fmt.Errorf("watch images: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.repeat(ctx, w.lookAtDevices)
	if len(c.Consul) > 0 {
		w.repeat(ctx, w.lookAtRecords)
	}
	return w, nil
}

// Found is closed with the first thing that is found.
func (w *Watch) Found() <-chan struct{} { return w.found }

// Stop ends the watch and returns what was found, each in a sentence, and what
// was looked at. An error means that the watch was not complete.
func (w *Watch) Stop() (anomalies []string, looks Looks, err error) {
	w.cancel()
	w.wg.Wait()
	moves, attaches, err := w.images.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks.Moves, w.looks.Attaches = moves, attaches
	if w.looks.Devices == 0 {
		err = errors.Join(err, errors.New("no loop device was ever looked at"))
	}
	return w.anomalies, w.looks, err
}

func (w *Watch) report(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.anomalies) == 0 {
		close(w.found)
	}
	if len(w.anomalies) < 100 {
		w.anomalies = append(w.anomalies, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (w *Watch) count(add func(*Looks)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(&w.looks)
}

func (w *Watch) repeat(ctx context.Context, look func(context.Context)) {
	w.wg.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			look(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// lookAtDevices compares loop devices, images and mounts.
func (w *Watch) lookAtDevices(context.Context) {
	loops, err := lab.Loops(w.cluster.Lab.SAN)
	if err != nil {
		w.report("the loop devices cannot be listed: %v", err)
		return
	}
	for _, a := range checkLoops(w.cluster.Lab.SAN, loops, lab.Loop.Attached) {
		w.report("%s", a)
	}
	for _, n := range w.cluster.Nodes {
		for _, a := range checkMounts(w.cluster.Lab.SAN, n.Name, n.Instance, n.Mounts) {
			w.report("%s", a)
		}
	}
	w.lookAtUses()
	w.count(func(l *Looks) { l.Devices++ })
}

// lookAtRecords compares the log with where the images are.
func (w *Watch) lookAtRecords(ctx context.Context) {
	before := w.images.places()
	pairs, err := w.cluster.Log(ctx, datasetsFolder)
	if err != nil {
		return // Consul has no majority just now
	}
	if err := w.images.sync(ctx); err != nil {
		return
	}
	after := w.images.places()
	seen, err := decode(pairs)
	if err != nil {
		w.report("the log cannot be read: %v", err)
		return
	}
	for _, a := range w.records.take(seen) {
		w.report("%s", a)
	}
	for _, a := range checkHolders(before, after, seen) {
		w.report("%s", a)
	}
	w.count(func(l *Looks) { l.Records++ })
}
