package cluster_test
import ("testing";"strings";"github.com/flocker-mesos/flocker/control/cluster")
func TestTmp(t *testing.T){
 s:=cluster.New()
 for line := range strings.Lines(tmpSeeds) {
	key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
	t.Log(key, s.PutStored(cluster.Key(key), []byte(value)))
 }
}
const tmpSeeds = `datasets/d={"schema":4,"record":{"dataset_id":"d","primary":"n","metadata":{"name":"db.0"},"member":{"set":"db","index":0,"user":{"node":"n","consumer":"c"}},"queue":[{"node":"n"},{"node":"m"}]}}
datasets/d={"schema":1,"record":{"dataset_id":"d","primary":"n","epoch":2,"metadata":{"name":"db"},"maximum_size":67108864}}
states/d={"schema":1,"record":{"dataset_id":"d","node":"n","epoch":2,"phase":"mounted"}}
nodes/n={"schema":1,"record":{"uuid":"n","stream":3,"instance":"i"}}
leases/d={"schema":1,"record":{"dataset_id":"d","node_uuid":"n"}}
meta={"schema":1,"record":{"cluster":"c"}}
sets/db={"schema":4,"record":{"name":"db","waiting":[{"node":"m","consumer":"x"}]}}
hints/d={"schema":4,"record":{"dataset_id":"d","node":"n"}}
apps//db={"schema":4,"record":{"id":"/db","volumes":[{"name":"db"}]}}
replicas/r={"schema":4,"record":{"id":"r"}}
jobs/marathon={"schema":4,"record":{"replica":"r"}}
endings/n={"schema":4,"record":{}}`
