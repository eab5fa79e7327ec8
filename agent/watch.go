package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// watcher looks at every mounted volume: when the kernel's log names its device, when
// the mount table changes, and periodically. It makes all looks but those at a volume
// that is just being handed out.
//
// Looks need no I/O. A look that does not return all the same keeps its goroutine, and
// nothing else.
type watcher struct {
	log    *slog.Logger
	engine *engine

	limit  time.Duration // of a look at one volume
	lookAt func(v ward, closely bool) result

	hung map[api.DatasetID]*atomic.Bool // looks that have not returned; true when they have
}

// The watcher's times. With many volumes it looks less often, so that it costs the same.
const (
	lookEvery     = time.Second
	lookPerVolume = 5 * time.Millisecond
	// mountsPerVolume keeps a burst of mounts from having all volumes looked at for each.
	mountsPerVolume = time.Millisecond / 2
	// closeLook is how often the files of the kernel are read as well, where its log
	// cannot be heard and where it can.
	closeLook      = 2 * time.Second
	closeLookHeard = 30 * time.Second
	// lookLimit is how long a look at one volume may take.
	lookLimit = 2 * time.Second
	// eventPause joins the events of a burst.
	eventPause = 50 * time.Millisecond
)

func newWatcher(log *slog.Logger, e *engine) *watcher {
	return &watcher{log: log, engine: e, limit: lookLimit, lookAt: lookAt, hung: map[api.DatasetID]*atomic.Bool{}}
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	events := make(chan host.Event)
	if end, err := host.OpenLogEnd(); err == nil { // before the lines that are heard
		defer end.Close()
		w.engine.mu.Lock()
		w.engine.logEnd = end
		w.engine.mu.Unlock()
	}
	every, done := closeLook, make(chan struct{})
	if source, logErr, err := host.OpenEvents(); err != nil {
		w.log.Warn("the kernel's events cannot be heard: mounts are looked at periodically only", "cause", err)
		close(done)
	} else {
		if logErr != nil {
			w.log.Info("the kernel's log cannot be read: failures of file systems are explained without it", "cause", logErr)
		} else {
			every = closeLookHeard
		}
		go func() {
			defer close(done)
			defer source.Close()
			listen(ctx, source, events)
		}()
	}
	defer func() { <-done }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last, closely, mounts time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			wards := w.engine.wards()
			now := time.Now()
			if now.Sub(last) < min(time.Duration(len(wards))*lookPerVolume, 10*time.Second) {
				continue
			}
			last = now
			deep := now.Sub(closely) >= every
			if deep {
				closely = now
			}
			w.look(ctx, wards, func(ward) bool { return deep })
		case event := <-events:
			if event.Mounts && time.Since(mounts) < time.Duration(w.engine.mounted())*mountsPerVolume {
				event.Mounts, last = false, time.Time{} // the next tick looks
			}
			if event.Mounts {
				mounts = time.Now()
			}
			w.hear(ctx, event)
		}
	}
}

// markLog notes where the kernel's log ends before a volume is mounted: what it says of
// the device until then is of an earlier mount, or of another volume.
func (e *engine) markLog(d *dataset) {
	e.mu.Lock()
	end := e.logEnd
	e.mu.Unlock()
	seq := end.Seq()
	e.mu.Lock()
	defer e.mu.Unlock()
	d.logged = seq
}

// listen passes events on until ctx ends.
func listen(ctx context.Context, source *host.Events, events chan<- host.Event) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		event, err := source.Wait(ctx)
		if err != nil {
			return
		}
		select {
		case events <- event:
		case <-ctx.Done():
			return
		}
		pause.Reset(eventPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// hear looks at the volumes that an event concerns.
func (w *watcher) hear(ctx context.Context, event host.Event) {
	if !event.Mounts && !event.Missed && len(event.Lines) == 0 {
		return
	}
	concerned := map[api.DatasetID]bool{}
	wards := w.engine.wards()
	for _, v := range wards {
		if v.vigil.Hear(event.Lines, time.Now()) || event.Missed {
			concerned[v.id] = true
		}
	}
	if !event.Mounts && len(concerned) == 0 {
		return
	}
	wards = slices.DeleteFunc(wards, func(v ward) bool { return !event.Mounts && !concerned[v.id] })
	w.look(ctx, wards, func(v ward) bool { return concerned[v.id] })
}

// look looks at wards, at some of them closely. A look that takes too long is left
// behind, and its volume is hung until it ends.
func (w *watcher) look(ctx context.Context, wards []ward, closely func(ward) bool) {
	wards = slices.DeleteFunc(wards, func(v ward) bool {
		ended := w.hung[v.id]
		if ended == nil || ended.Load() {
			delete(w.hung, v.id)
		}
		return !v.rests || w.hung[v.id] != nil
	})
	for len(wards) > 0 && ctx.Err() == nil {
		at := w.lookUntilHung(ctx, wards, closely)
		if at < 0 {
			return
		}
		w.engine.observe(wards[at], host.Diagnosis{Condition: host.Condition(api.HealthHung)}, false)
		wards = wards[at+1:]
	}
}

// result is what a look has found.
type result struct {
	found    host.Diagnosis
	viewGone bool
}

// lookUntilHung looks at one ward after the other and returns the place of the one at
// which it hangs, -1 for none.
func (w *watcher) lookUntilHung(ctx context.Context, wards []ward, closely func(ward) bool) int {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	results := make([]result, len(wards))
	var looked atomic.Int64 // number of finished results
	ended, all := &atomic.Bool{}, make(chan struct{})
	go func() {
		defer close(all)
		defer ended.Store(true)
		for i, v := range wards {
			if ctx.Err() != nil {
				return
			}
			results[i] = w.lookAt(v, closely(v))
			looked.Store(int64(i + 1))
		}
	}()
	limit := time.NewTicker(w.limit)
	defer limit.Stop()
	told := 0
	for {
		hangs := false
		select {
		case <-all:
		case <-limit.C:
			hangs = int(looked.Load()) == told
		case <-ctx.Done():
			return -1
		}
		over := ended.Load() // before the results are counted
		for n := int(looked.Load()); told < n; told++ {
			w.engine.observe(wards[told], results[told].found, results[told].viewGone)
		}
		switch {
		case told == len(wards) || over:
			return -1
		case hangs:
			w.hung[wards[told].id] = ended
			return told
		}
	}
}

// lookAt looks at one ward.
func lookAt(v ward, closely bool) (r result) {
	if closely {
		r.found = v.vigil.Inspect(time.Now())
	} else {
		r.found = v.vigil.Glance(time.Now())
	}
	for _, view := range v.views {
		if at, ok, err := host.Mounted(view); err == nil && (!ok || at.Device != v.vigil.Device) {
			r.viewGone = true
		}
	}
	return r
}
