package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/lab"
)

const (
	volume1 = "aaaaaaaa-0001-4000-8000-000000000001"
	volume2 = "aaaaaaaa-0002-4000-8000-000000000002"
)

// found collects what is reported.
type found struct {
	mu  sync.Mutex
	all []string
}

func (f *found) report(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

func (f *found) check(t *testing.T, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	checkAnomalies(t, f.all, want...)
}

func checkAnomalies(t *testing.T, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestImagesInTwoPlacesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		steps func(t *testing.T, san string)
		want  []string
	}{
		"a volume that goes its way": {steps: func(t *testing.T, san string) {
			image := filepath.Join(san, "unattached", volume1)
			touch(t, image)
			for range 100 {
				for _, instance := range []string{"one", "two"} {
					at := filepath.Join(san, "attached", instance, volume1)
					rename(t, image, at)
					rename(t, at, image)
				}
			}
			if err := os.Remove(image); err != nil {
				t.Fatal(err)
			}
			touch(t, image) // another one, of the same name
		}},
		"an image with two machines": {
			steps: func(t *testing.T, san string) {
				touch(t, filepath.Join(san, "attached/one", volume1))
				touch(t, filepath.Join(san, "attached/two", volume1))
			},
			want: []string{"has images in two places"},
		},
		"an image with a machine and none": {
			steps: func(t *testing.T, san string) {
				image := filepath.Join(san, "unattached", volume1)
				touch(t, image)
				rename(t, image, filepath.Join(san, "attached/two", volume1))
				touch(t, image)
			},
			want: []string{"has images in two places"},
		},
		"a machine that nobody knows": {
			steps: func(t *testing.T, san string) {
				if err := os.Mkdir(filepath.Join(san, "attached/three"), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"attached to three"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			san, f := t.TempDir(), &found{}
			w, err := watchImages(san, []string{"one", "two"}, func(string, string) {}, f.report)
			if err != nil {
				t.Fatal(err)
			}
			c.steps(t, san)
			if err := w.sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.close(); err != nil {
				t.Fatal(err)
			}
			f.check(t, c.want...)
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestDevicesThatMustNotBeAreFound(t *testing.T) {
	const san = "/lab/san"
	one := lab.Loop{Device: "/dev/loop1", Backing: san + "/attached/one/" + volume1}
	again := lab.Loop{Device: "/dev/loop2", Backing: one.Backing}
	other := lab.Loop{Device: "/dev/loop2", Backing: san + "/attached/one/" + volume2}
	free := lab.Loop{Device: "/dev/loop3", Backing: san + "/unattached/" + volume2}
	for name, c := range map[string]struct {
		loops []lab.Loop
		gone  lab.Loop
		want  []string
	}{
		"one device each":                    {loops: []lab.Loop{one, other}},
		"two devices of a volume":            {loops: []lab.Loop{one, again}, want: []string{"has two devices"}},
		"two devices, one of which was gone": {loops: []lab.Loop{one, again}, gone: one},
		"a device of what is not attached":   {loops: []lab.Loop{one, free}, want: []string{"attached nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkLoops(san, c.loops, func(l lab.Loop) bool { return l != c.gone })
			checkAnomalies(t, got, c.want...)
		})
	}
}

func dataset(id string, change func(*api.Dataset)) *api.Dataset {
	d := &api.Dataset{ID: api.DatasetID(id), Revision: 5, Epoch: 3, Metadata: map[string]string{"name": id},
		Holder: &api.Holder{Node: "one", Epoch: 3}, Volume: &api.Volume{ID: id}}
	if change != nil {
		change(d)
	}
	return d
}

func all(datasets ...*api.Dataset) map[api.DatasetID]*api.Dataset {
	m := map[api.DatasetID]*api.Dataset{}
	for _, d := range datasets {
		m[d.ID] = d
	}
	return m
}

func TestRecordsThatMustNotBeAreFound(t *testing.T) {
	base := dataset(volume1, nil)
	for name, c := range map[string]struct {
		next map[api.DatasetID]*api.Dataset
		want []string
	}{
		"nothing new": {next: all(base)},
		"a hand-over": {next: all(dataset(volume1, func(d *api.Dataset) {
			d.Revision, d.Epoch, d.Holder = 6, 4, &api.Holder{Node: "two", Epoch: 4}
		}))},
		"no holder":                {next: all(dataset(volume1, func(d *api.Dataset) { d.Revision, d.Holder = 6, nil }))},
		"two holders of one epoch": {next: all(dataset(volume1, func(d *api.Dataset) { d.Holder.Node = "two" })), want: []string{"given to both one and two"}},
		"an older revision":        {next: all(dataset(volume1, func(d *api.Dataset) { d.Revision = 4 })), want: []string{"revision 5 to 4"}},
		"an older epoch":           {next: all(dataset(volume1, func(d *api.Dataset) { d.Epoch, d.Holder = 2, nil })), want: []string{"epoch 3 to 2"}},
		"a holder of another time": {next: all(dataset(volume1, func(d *api.Dataset) { d.Epoch = 4 })), want: []string{"holder of epoch 3"}},
		"another volume":           {next: all(dataset(volume1, func(d *api.Dataset) { d.Volume.ID = volume2 })), want: []string{"had the volume"}},
		"a name taken twice":       {next: all(base, dataset(volume2, func(d *api.Dataset) { d.Metadata = base.Metadata })), want: []string{"have the name"}},
		"a lost record":            {next: all(), want: []string{"is gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecords()
			checkAnomalies(t, r.take(all(base)))
			checkAnomalies(t, r.take(c.next), c.want...)
		})
	}
	r := newRecords()
	gone := dataset(volume1, func(d *api.Dataset) { d.Deleted, d.Destroyed, d.Holder = true, true, nil })
	checkAnomalies(t, r.take(all(gone)))
	checkAnomalies(t, r.take(all(base)), "no longer")
}

func TestImagesWithoutAHolderAreFound(t *testing.T) {
	at := func(instance string, moves uint64) map[string]place {
		return map[string]place{volume1: {instance: instance, moves: moves}}
	}
	held := all(dataset(volume1, nil))
	for name, c := range map[string]struct {
		before, after map[string]place
		seen          map[api.DatasetID]*api.Dataset
		want          []string
	}{
		"its holder has it":                      {before: at("one", 1), after: at("one", 1), seen: held},
		"another one has it":                     {before: at("two", 1), after: at("two", 1), seen: held, want: []string{"its holder is"}},
		"nobody holds it":                        {before: at("one", 1), after: at("one", 1), seen: all(dataset(volume1, func(d *api.Dataset) { d.Holder = nil })), want: []string{"its holder is"}},
		"there is no record of it":               {before: at("one", 1), after: at("one", 1), seen: all(), want: []string{"no such dataset"}},
		"it is attached nowhere":                 {before: at(unattached, 1), after: at(unattached, 1), seen: all()},
		"it was moved while the log was read":    {before: at("two", 1), after: at("one", 3), seen: held},
		"it was moved there and back":            {before: at("two", 1), after: at("two", 5), seen: held},
		"it came or went while the log was read": {before: at("two", 1), seen: held},
		"it was attached after the log was read": {after: at("two", 1), seen: held},
	} {
		t.Run(name, func(t *testing.T) {
			checkAnomalies(t, checkHolders(c.before, c.after, c.seen), c.want...)
		})
	}
}
