package system

import (
	"strconv"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
	"github.com/flocker-mesos/flocker/test/marathon"
	"github.com/flocker-mesos/flocker/test/mesos"
)

func TestExampleOfBrokersRunsAndEachKeepsItsRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster.Options{})
	app, err := marathon.ReadApp("../../examples/brokers.json")
	w.must(err)
	// Nobody plays Marathon here, who says how many instances there are.
	app.Labels["flocker.volume.log.each"] = strconv.Itoa(app.Instances)
	// has starts an instance and returns which broker it became, and with how many records.
	has := func(n *cluster.Node) (r *mesos.Run, broker, records string) {
		r = w.launch(n, app.Task())
		w.says(r, "ready")
		line, _, _ := strings.Cut(r.Stdout(), "\n")
		words := strings.Fields(line) // broker ID has N records
		if len(words) != 5 {
			t.Fatalf("it printed %q", r.Stdout())
		}
		return r, words[1], words[3]
	}
	brokers := map[string]bool{}
	var last *mesos.Run
	var lost string
	for i := range app.Instances {
		r, broker, records := has(w.Nodes[i%2])
		if brokers[broker] || records != "1" {
			t.Errorf("broker %s has %s records, want a new one with 1 beside %v", broker, records, brokers)
		}
		brokers[broker] = true
		last, lost = r, broker
	}
	w.end(last)
	// What takes the place of one, on another machine, is that one.
	if _, broker, records := has(w.Nodes[app.Instances%2]); broker != lost || records != "2" {
		t.Errorf("broker %s has %s records, want %s with 2", broker, records, lost)
	}
}
