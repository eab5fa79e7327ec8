package system

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/cluster"
)

// nowhere is a host of which Marathon gets no offers.
const nowhere = "nowhere"

// made waits until a volume is registered that nobody has.
func (w *deployed) made(name string) {
	w.t.Helper()
	w.until("the volume "+name+" is made, and given back", func() error {
		full, err := w.detail(name)
		if err != nil {
			return err
		}
		if full.Dataset.Volume == nil || full.Dataset.Holder != nil {
			return errors.New(full.Why)
		}
		return nil
	})
}

// An app is deployed, and Marathon gets no offer that fits: its volume is there all
// the same, and nobody has it. The first instance finds it, wherever it comes.
func TestVolumesAreMadeWhenTheirAppIsDeployed(t *testing.T) {
	t.Parallel()
	w := newDeployed(t, cluster.Options{})
	w.putOn(nowhere, nil)
	w.made("ledger")
	if tasks := w.marathon.Tasks("/prod/ledger"); len(tasks) > 0 {
		t.Fatalf("there are tasks: %+v", tasks)
	}
	w.shown("/prod/ledger", "ledger", "detached")
	w.idle()
	volume := w.volume("ledger").Dataset.Volume.ID

	w.put(w.Nodes[0], nil)
	w.verified(w.Nodes[0], 0)
	w.put(w.Nodes[1], nil)
	w.verified(w.Nodes[1], 1)
	if got := w.volume("ledger").Dataset.Volume.ID; got != volume {
		t.Errorf("volume is %s, want the one that was made ahead, %s", got, volume)
	}
	w.put(w.Nodes[0], map[string]any{"instances": 0})
	w.shown("suspended", "detached")
}

// What cannot be made shows before there is any task, with its cause, and is tried
// again.
func (w *deployed) failsAhead(cause string) {
	w.t.Helper()
	w.shown("/prod/ledger", "failing", cause)
	full := w.volume("ledger")
	if full.Status != "failing" || !strings.Contains(full.Why, "ahead") || !strings.Contains(full.Why, "next try") {
		w.t.Errorf("got %s, %q, want that making it ahead fails, and is tried again", full.Status, full.Why)
	}
	if tasks := w.marathon.Tasks("/prod/ledger"); len(tasks) > 0 {
		w.t.Fatalf("there are tasks: %+v", tasks)
	}
}

func TestASizeThatIsRefusedShowsBeforeAnyTask(t *testing.T) {
	t.Parallel()
	w := newDeployed(t, cluster.Options{})
	w.putOn(nowhere, map[string]any{"labels": map[string]string{"flocker.volume.data": "path=data,name=ledger,size=1023PiB"}})
	w.shown("/prod/ledger", "refused", "largest size of a volume")
	if tasks := w.marathon.Tasks("/prod/ledger"); len(tasks) > 0 {
		t.Errorf("there are tasks: %+v", tasks)
	}
}

// Once there is room the volume is made.
func TestAFullStorageShowsBeforeAnyTask(t *testing.T) {
	t.Parallel()
	w := newDeployed(t, cluster.Options{Nodes: 1})
	n := w.Nodes[0]
	w.inside(n, fmt.Sprintf("mkdir /var/tmp/san; cp -a %[1]s/. /var/tmp/san; mount -t tmpfs -o size=80k san %[1]s; "+
		"cp -a /var/tmp/san/. %[1]s; dd if=/dev/zero of=%[1]s/fill bs=1k 2>/dev/null || true", w.Lab.SAN))
	w.putOn(nowhere, nil)
	w.failsAhead("make a file system")
	w.inside(n, fmt.Sprintf("rm %[1]s/fill; mount -o remount,size=1G %[1]s", w.Lab.SAN))
	w.made("ledger")
}
