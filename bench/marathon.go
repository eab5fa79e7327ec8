package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/test/marathon/double"
)

const (
	// imageFetch is how long Mesos takes in these rounds until it starts what it
	// has staged: it fetches an image, and that is short.
	imageFetch   = 150 * time.Millisecond
	volumesAnApp = 3
	fewApps      = 10
	manyApps     = 1000
)

// benchMarathon measures what following Marathon brings, and what it costs.
func benchMarathon(s settings) ([]result, error) {
	start, err := benchHeadStart(s)
	if err != nil {
		return nil, err
	}
	events, err := benchEvents(s)
	return append(start, events...), err
}

// followed is a Marathon that is played and a control service that follows it.
type followed struct {
	marathon *double.Double
	control  *control
	user     *client.Client
}

func newFollowed(s settings, name string, certs *certificates, opts double.Options) (*followed, error) {
	d, err := double.New(opts)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, name)
	f := &followed{marathon: d}
	if f.control, err = newControl(s, dir, certs, "file:"+filepath.Join(dir, "store"), "marathon: "+d.URLs()[0]); err != nil {
		return nil, err
	}
	f.user, err = f.control.user()
	return f, err
}

func (f *followed) close() error {
	defer f.marathon.Close()
	return f.control.process.stop()
}

// put deploys an app with volumes, as many of each as it has instances, 0 for one
// that all share.
func (f *followed) put(id string, volumes, each int) error {
	labels := map[string]string{}
	for i := range volumes {
		key := fmt.Sprintf("flocker.volume.v%d", i)
		labels[key] = fmt.Sprintf("/v%d", i)
		if each > 0 {
			labels[key+".each"] = strconv.Itoa(each)
		}
	}
	return f.ask(http.MethodPut, "/v2/apps"+id+"?force=true", map[string]any{"id": id, "cmd": "true", "instances": 1, "labels": labels})
}

func (f *followed) ask(method, path string, body any) error {
	if status, answer := f.marathon.Do(method, path, body); status >= 300 {
		return fmt.Errorf("%s %s: Marathon answers %d %s", method, path, status, answer)
	}
	return nil
}

// benchHeadStart measures from when an instance is staged until its container can
// use its volume, on a host that is a node's, and as if nobody had told.
func benchHeadStart(s settings) ([]result, error) {
	certs, err := makeCertificates(filepath.Join(s.dir, "start-certs"), 1)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	f, err := newFollowed(s, "start", certs, double.Options{Hosts: []string{host, "elsewhere"}})
	if err != nil {
		return nil, err
	}
	san := filepath.Join(s.dir, "start-san")
	if err := os.Mkdir(san, 0o700); err != nil {
		return nil, err
	}
	n, err := newNode(s, f.control, certs.nodes[0], san)
	if err != nil {
		return nil, err
	}
	var results []result
	for each, what := range []string{"the volume", "the member of a volume set"} {
		var whole, wait [2]series // with a head start, and without
		for i := range 2 * (s.rounds + warmUp) {
			if i == 2*warmUp {
				whole, wait = [2]series{}, [2]series{}
			}
			if err := f.startRound(n, i, each, &whole[i%2], &wait[i%2]); err != nil {
				return nil, fmt.Errorf("%w\n%s\n%s", err, n.process.lastWords(), f.control.process.lastWords())
			}
		}
		results = append(results,
			ratio("", "the image is there, until "+what+" is: with a head start / without", 0, wait[0], wait[1]),
			ratio("", "staged, 150 ms of image, until "+what+" is there: with a head start / without", 0, whole[0], whole[1]))
	}
	return results, joined(n.close, f.close)
}

// startRound deploys an app, whose one instance the double launches in turns on the
// node and elsewhere, and then does as the container of it does.
func (f *followed) startRound(n *node, i, each int, whole, wait *series) error {
	ctx, cancel := patiently()
	defer cancel()
	id := fmt.Sprintf("/bench/app%d", i)
	name := fmt.Sprintf("bench.app%d.v0", i)
	staged := time.Now()
	if err := f.put(id, 1, each); err != nil {
		return err
	}
	select {
	case <-time.After(imageFetch):
	case <-ctx.Done():
		return ctx.Err()
	}
	fetched := time.Now()
	consumer := fmt.Sprintf("c%d", i)
	volumes := []api.VolumeRequest{{Key: "v0", Path: "/v0", Name: name, Each: each}}
	instance := ""
	for _, task := range f.marathon.Tasks(id) {
		instance = api.InstanceOf(task.ID)
	}
	for _, req := range []api.LocalRequest{
		{Acquire: &api.AcquireRequest{Consumer: consumer, Kind: api.ConsumerMesos, App: id, Instance: instance, Volumes: volumes}},
		{Await: &api.AwaitRequest{Consumer: consumer}},
	} {
		if err := n.ask(ctx, req); err != nil {
			return err
		}
	}
	*wait, *whole = append(*wait, time.Since(fetched)), append(*whole, time.Since(staged))
	for _, task := range f.marathon.Tasks(id) {
		f.marathon.Update(task.ID, api.TaskRunning)
	}
	if err := n.ask(ctx, api.LocalRequest{Release: &api.ReleaseRequest{Consumer: consumer}}); err != nil {
		return err
	}
	if each > 0 {
		name = api.MemberName(name, 0)
	}
	full, err := f.user.AwaitVolume(ctx, name, func(d *api.DatasetDetail) bool { return d.Dataset.Holder == nil })
	if err != nil {
		return fmt.Errorf("give the volume back: %w", err)
	}
	if err := f.ask(http.MethodPut, "/v2/apps"+id+"?force=true", map[string]any{"labels": map[string]string{}, "instances": 0}); err != nil {
		return err
	}
	for {
		if _, err := f.user.MarathonApps(ctx, id); api.CodeOf(err) == api.CodeNotFound {
			break // else the dataset would be made known again
		} else if err != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err = f.user.Delete(ctx, full.Dataset.ID, "")
	return err
}

// ask asks the agent by its socket, as the isolator does.
func (n *node) ask(ctx context.Context, req api.LocalRequest) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(n.dir, "agent.sock"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return err
	}
	lines := json.NewDecoder(bufio.NewReader(conn))
	for {
		var reply api.LocalReply
		if err := lines.Decode(&reply); err != nil {
			return fmt.Errorf("ask the agent: %w", err)
		}
		if reply.Done && reply.Error != nil {
			return reply.Error
		}
		if reply.Done {
			return nil
		}
	}
}

// benchEvents measures one event of a task, until the control service shows what it
// says, and what that costs the control service's processor.
func benchEvents(s settings) ([]result, error) {
	certs, err := makeCertificates(filepath.Join(s.dir, "event-certs"), 1)
	if err != nil {
		return nil, err
	}
	var all [2]*followed
	var took [2]series
	var processor [2]time.Duration
	for i, apps := range []int{manyApps, fewApps} {
		f, err := newFollowed(s, fmt.Sprintf("events-%d", apps), certs, double.Options{Hosts: []string{"host1"}})
		if err != nil {
			return nil, err
		}
		all[i] = f
		for n := range apps {
			if err := f.put(fmt.Sprintf("/app%d", n), volumesAnApp, 0); err != nil {
				return nil, err
			}
		}
		if err := f.awaitApps(apps); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, f.control.process.lastWords())
		}
	}
	const turn = 20 // events of one before the other's turn: the processor is counted in ticks
	for round := range s.rounds + 1 {
		for i, f := range all {
			before, err := f.control.process.cpu()
			if err != nil {
				return nil, err
			}
			for n := range turn {
				d, err := f.event(fmt.Sprintf("/app%d", n%fewApps), round*turn+n)
				if err != nil {
					return nil, err
				}
				if round > 0 {
					took[i] = append(took[i], d)
				}
			}
			after, err := f.control.process.cpu()
			if err != nil {
				return nil, err
			}
			if round > 0 {
				processor[i] += after - before
			}
		}
	}
	each := func(i int) series { return series{processor[i] / time.Duration(s.rounds*turn)} }
	return []result{
		ratio("M1", "an event of Marathon's until it is known: 1,000 apps with 3 volumes / 10", 1.2, took[0], took[1]),
		ratio("M1", "the same: the control service's processor", 1.2, each(0), each(1)),
	}, joined(all[0].close, all[1].close)
}

// awaitApps waits until all apps and their datasets are known.
func (f *followed) awaitApps(apps int) error {
	ctx, cancel := patiently()
	defer cancel()
	for {
		view, err := f.user.MarathonApps(ctx, "")
		if err != nil {
			return err
		}
		if len(view.Apps) == apps && view.Marathon != nil && view.Marathon.Events {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d apps are known: %w", len(view.Apps), apps, context.Cause(ctx))
		}
	}
}

// event has a task of an app be in another state, and waits until that is known.
func (f *followed) event(id string, n int) (time.Duration, error) {
	ctx, cancel := patiently()
	defer cancel()
	state := []string{api.TaskRunning, api.TaskStarting}[n/fewApps%2]
	task := f.marathon.Tasks(id)[0].ID
	began := time.Now()
	f.marathon.Update(task, state)
	for {
		view, err := f.user.MarathonApps(ctx, id)
		if err != nil {
			return 0, err
		}
		if in := view.Apps[0].Instances; len(in) == 1 && in[0].State == state {
			return time.Since(began), nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("event of %s: %w", id, context.Cause(ctx))
		}
	}
}
