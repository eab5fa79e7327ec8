package cli_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/output"
)

// becomes has a volume change each time that somebody waits for it to.
func (c *cluster) becomes(id string, stages ...*api.DatasetDetail) {
	n := 0
	c.Do("GET /v1/volumes/"+id, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") && n < len(stages)-1 {
			n++
		}
		w.Header().Set("ETag", `"x"`)
		writeJSON(w, stages[n])
	})
}

// stage is the volume queue, further on.
func stage(status string, change func(*api.DatasetDetail)) *api.DatasetDetail {
	d := volumes()[4]
	d.Status, d.Why = status, "Dataset queue is "+status+"."
	if change != nil {
		change(d)
	}
	return d
}

func preparing(d *api.DatasetDetail) {
	d.State = &api.DatasetState{ID: d.Dataset.ID, Node: node1, Phase: api.PhaseDetached, Since: before(12 * time.Second), Action: "attach the volume"}
}

func failing(d *api.DatasetDetail) {
	preparing(d)
	d.State.Failure = &api.Failure{Action: "attach the volume", Cause: "no such device", Attempts: 3, NextTry: now().Add(4 * time.Second)}
}

func TestWaitingTellsHowItGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		screen output.Screen
		want   string
	}{
		"piped": {output.Screen{}, "queue: waiting\nqueue: preparing, attach the volume\n" +
			"queue: failing, attach the volume: no such device\nqueue: mounted\n"},
		"on a terminal": {output.Screen{Width: 70, Live: true}, "\rqueue: waiting (1h0m0s)\x1b[K" +
			"\rqueue: preparing, attach the volume (12s)\x1b[K" +
			"\rqueue: failing, attach the volume (12s, attempt 4 in 4s): no such de…\x1b[K" +
			"\rqueue: mounted (1h0m0s)\x1b[K" + "\r\x1b[K"},
		"on one whose width is unknown": {output.Screen{Live: true}, "\rqueue: waiting (1h0m0s)\x1b[K" +
			"\rqueue: preparing, attach the volume (12s)\x1b[K" +
			"\rqueue: failing, attach the volume (12s, attempt 4 in 4s): no such device\x1b[K" +
			"\rqueue: mounted (1h0m0s)\x1b[K" + "\r\x1b[K"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.screen = tt.screen
			c.becomes(queueID, stage("waiting", nil), stage("preparing", preparing), stage("failing", failing), stage("mounted", nil))
			out, errs, err := c.run(t, "volumes", "wait", "queue")
			if err != nil || out != "queue is mounted.\n" {
				t.Errorf("got %q, %v", out, err)
			}
			if errs != "Waiting until queue is mounted, for 5m0s at most.\n"+tt.want {
				t.Errorf("got %q\nwant %q", errs, tt.want)
			}
		})
	}
}

func TestWaitingEndsWhenItShould(t *testing.T) {
	deleted := func(d *api.DatasetDetail) { d.Dataset.Deleted = true }
	destroyed := func(d *api.DatasetDetail) { d.Dataset.Deleted, d.Dataset.Destroyed = true, true }
	larger := func(size int64) func(*api.DatasetDetail) {
		return func(d *api.DatasetDetail) { d.Dataset.Volume = &api.Volume{ID: "v", Size: size} }
	}
	growing := func(d *api.DatasetDetail) {
		larger(20 << 30)(d)
		d.State = &api.DatasetState{Node: node1, Action: api.ActionGrowFS}
	}
	lasting := func(d *api.DatasetDetail) { failing(d); d.State.Failure.Lasting = true }
	blocked := func(d *api.DatasetDetail) { d.Dataset.Blocked = "the storage system has a volume of this name" }
	in := func(phase api.Phase) func(*api.DatasetDetail) {
		return func(d *api.DatasetDetail) { preparing(d); d.State.Phase = phase }
	}
	for name, tt := range map[string]struct {
		args   string
		stages []*api.DatasetDetail
		says   string
		fails  string
	}{
		"mounted":                   {"wait queue", []*api.DatasetDetail{stage("preparing", nil), stage("mounted", nil)}, "queue is mounted.\n", ""},
		"detached":                  {"wait queue --for detached", []*api.DatasetDetail{stage("releasing", nil), stage("detached", nil)}, "queue is detached.\n", ""},
		"destroyed":                 {"wait queue --for destroyed", []*api.DatasetDetail{stage("deleting", deleted), stage("destroyed", destroyed)}, "queue is destroyed.\n", ""},
		"grown":                     {"wait queue --for grown", []*api.DatasetDetail{stage("mounted", larger(1<<30)), stage("mounted", growing), stage("mounted", larger(20<<30))}, "queue is as large as it should be.\n", ""},
		"deleted meanwhile":         {"wait queue", []*api.DatasetDetail{stage("preparing", nil), stage("deleting", deleted)}, "", "queue was deleted, so it will not be mounted. Dataset queue is deleting."},
		"a lasting failure":         {"wait queue", []*api.DatasetDetail{stage("preparing", nil), stage("failing", lasting), stage("mounted", nil)}, "", "waiting alone does not make queue mounted: Dataset queue is failing."},
		"a lasting failure to grow": {"grow queue 30GiB --wait", []*api.DatasetDetail{stage("mounted", nil), stage("failing", lasting), stage("mounted", larger(30<<30))}, "", "waiting alone does not make queue as large as it should be"},
		"a volume that vanished":    {"wait queue", []*api.DatasetDetail{stage("preparing", nil), stage("failing", in(api.PhaseVanished)), stage("mounted", nil)}, "", "waiting alone does not make queue mounted"},
		"a device that is another":  {"wait queue --for grown", []*api.DatasetDetail{stage("preparing", nil), stage("failing", in(api.PhaseForeign)), stage("mounted", nil)}, "", "waiting alone does not"},
		"a vanished volume's end":   {"wait queue --for destroyed", []*api.DatasetDetail{stage("failing", in(api.PhaseVanished)), stage("destroyed", destroyed)}, "queue is destroyed.\n", ""},
		"one to be adopted":         {"wait queue", []*api.DatasetDetail{stage("waiting", blocked), stage("mounted", nil)}, "", "waiting alone does not"},
		"the time is over":          {"wait queue --timeout 50ms", []*api.DatasetDetail{stage("preparing", nil)}, "", "gave up after 50ms: Dataset queue is preparing."},
		"as it used to be":          {"move queue --to 4b2f --wait 50ms", []*api.DatasetDetail{stage("preparing", nil)}, "Moving queue to node1.example.net.\n", "gave up after 50ms: Dataset queue"},
		"a timeout":                 {"move queue --to 4b2f --wait --timeout 50ms", []*api.DatasetDetail{stage("preparing", nil)}, "", "gave up after 50ms"},
		"with a value":              {"move queue --to 4b2f --wait=50ms", []*api.DatasetDetail{stage("preparing", nil)}, "", "gave up after 50ms"},
		"without a value":           {"move queue --to 4b2f --wait", []*api.DatasetDetail{stage("mounted", nil)}, "queue is mounted on node1.example.net.\n", ""},
		"on another node yet":       {"move queue --to 9c1d2 --wait --timeout 50ms", []*api.DatasetDetail{stage("mounted", nil)}, "", "gave up after 50ms"},
		"for a program":             {"move queue --to 4b2f --wait -o name", []*api.DatasetDetail{stage("mounted", nil)}, "queue\n", ""},
		"destroy":                   {"destroy -y queue --wait", []*api.DatasetDetail{stage("mounted", nil), stage("destroyed", destroyed)}, "queue is destroyed.\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.Answer("POST /v1/configuration/datasets/"+queueID, http.StatusOK, map[string]string{})
			c.Answer("DELETE /v1/configuration/datasets/"+queueID, http.StatusOK, map[string]string{})
			c.Answer("PATCH /v1/volumes/"+queueID, http.StatusOK, stage("mounted", nil))
			if strings.Contains(tt.fails, "gave up") { // nothing changes while one waits
				c.Do("GET /v1/volumes/"+queueID, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Has("wait") {
						<-r.Context().Done()
						return
					}
					w.Header().Set("ETag", `"x"`)
					writeJSON(w, tt.stages[0])
				})
			} else {
				c.becomes(queueID, tt.stages...)
			}
			out, _, err := c.run(t, append([]string{"volumes"}, strings.Fields(tt.args)...)...)
			if !strings.Contains(out, tt.says) {
				t.Errorf("got %q, want %q", out, tt.says)
			}
			if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("got %v, want %q", err, tt.fails)
			}
		})
	}
}

func TestWhoStopsWaitingLearnsThatItGoesOn(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.Do("GET /v1/volumes/"+queueID, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			cancel()
			<-r.Context().Done()
			return
		}
		w.Header().Set("ETag", `"x"`)
		writeJSON(w, stage("preparing", nil))
	})
	_, _, err := c.runIn(ctx, "volumes", "wait", "queue", "--for", "detached")
	if want := "it goes on without you. To wait again: flocker volumes wait queue --for detached"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestOneWhoseNameIsFreeAgainIsStillWaitedFor(t *testing.T) {
	c := newCluster(t)
	gone := stage("deleting", func(d *api.DatasetDetail) { d.Dataset.Deleted = true })
	c.Answer("GET /v1/volumes/queue", http.StatusNotFound, api.Errorf(api.CodeNotFound, "no"))
	c.Do("GET /v1/volumes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, []*api.DatasetDetail{gone}) })
	c.becomes(queueID, gone, stage("destroyed", func(d *api.DatasetDetail) { d.Dataset.Deleted, d.Dataset.Destroyed = true, true }))
	if out, _, err := c.run(t, "volumes", "wait", "queue", "--for", "destroyed"); err != nil || out != "queue is destroyed.\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestWaitMayHaveItsDurationBehindASpace(t *testing.T) {
	for line, want := range map[string]string{
		"x --wait 30s":          "x --wait=30s",
		"x --wait --to y":       "x --wait --to y",
		"x --wait y":            "x --wait y",
		"x --wait":              "x --wait",
		"x -- --wait 30s":       "x -- --wait 30s",
		"x --wait=1m 30s":       "x --wait=1m 30s",
		"x --wait 1m --wait 2m": "x --wait=1m --wait=2m",
	} {
		if got := strings.Join(cli.Args(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
