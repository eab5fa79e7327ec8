package control_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control/openapi"
)

// document is read once: tests hold thousands of answers against it.
var document = sync.OnceValues(openapi.Load)

func operations(tb testing.TB) []*openapi.Operation {
	tb.Helper()
	d, err := document()
	if err != nil {
		tb.Fatal(err)
	}
	return d.Operations()
}

var variable = regexp.MustCompile(`\{[a-z_]+(:[^}]+)?\}`)

// operationOf returns the operation that a request is for, nil if there is none.
func operationOf(tb testing.TB, method, path string) *openapi.Operation {
	tb.Helper()
	path = strings.Replace(path, "/v1//", "/v1/", 1)
	for _, op := range operations(tb) {
		pattern := variable.ReplaceAllStringFunc(op.Pattern, func(v string) string {
			if strings.Contains(v, ":") {
				return ".+"
			}
			return "[^/]+"
		})
		if op.Method == method && regexp.MustCompile("^"+pattern+"$").MatchString(path) {
			return op
		}
	}
	return nil
}

// Every operation of the document answers as the document says, once with
// success where there is one. That every one has a handler and every handler
// an operation the service itself sees to when it starts.
func TestEveryOperationAnswersAsDescribed(t *testing.T) {
	w := newWorld(t)
	s, _ := w.connect(nodeA)
	d, err := w.user().Create(t.Context(), client.CreateRequest{ID: dataset1, Primary: nodeA, Metadata: map[string]string{"name": "db"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.report(s, api.DatasetReport{
		State: api.DatasetState{ID: d.ID, Epoch: 1, Phase: api.PhaseMounted, Path: "/flocker/" + dataset1, Device: "/dev/loop0", Size: d.MaximumSize,
			Consumers: []api.Consumer{{ID: "c", Kind: "mesos", App: "/db", Key: "data"}},
			Failure:   &api.Failure{Action: "bind", Cause: "no"}},
		Volume: &api.Volume{ID: "v", Backend: "loopback", Size: 1 << 30},
	})
	if _, err := w.user().AcquireLease(t.Context(), dataset1, nodeA, 0); err != nil {
		t.Fatal(err)
	}
	calls := map[string]struct {
		path, body string
		status     int
	}{
		"getVersion":          {"/v1/version", "", 200},
		"listDatasets":        {datasets, "", 200},
		"createDataset":       {datasets, `{"primary": "` + nodeA + `", "dataset_id": "` + dataset2 + `"}`, 201},
		"moveDataset":         {datasets + "/" + dataset2, `{"primary": "` + nodeB + `"}`, 200},
		"deleteDataset":       {datasets + "/" + dataset2, "", 200},
		"listDatasetStates":   {"/v1/state/datasets", "", 200},
		"listNodeStates":      {"/v1/state/nodes", "", 200},
		"getNodeByEra":        {"/v1/state/nodes/by_era/" + hello(nodeA).Era, "", 200},
		"listLeases":          {leases, "", 200},
		"acquireLease":        {leases, `{"dataset_id": "` + dataset2 + `", "node_uuid": "` + nodeA + `", "expires": 60}`, 201},
		"releaseLease":        {leases + "/" + dataset2, "", 200},
		"listContainers":      {"/v1/configuration/containers", "", 200},
		"listContainerStates": {"/v1/state/containers", "", 200},
		"createContainer":     {"/v1/configuration/containers", `{"name": "web"}`, 410},
		"moveContainer":       {"/v1/configuration/containers/web", "", 410},
		"deleteContainer":     {"/v1/configuration/containers/web", "", 410},
		"compose":             {"/v1/configuration/_compose", "{}", 410},
		"listVolumes":         {"/v1/volumes?deleted=true", "", 200},
		"getVolume":           {"/v1/volumes/db", "", 200},
		"changeVolume":        {"/v1/volumes/db", `{"metadata": {"owner": "ops"}}`, 200},
		"undeleteVolume":      {"/v1/reclaims/db", "", 200},
		"trimVolume":          {"/v1/trims/db", "", 409}, // not by an agent of this version
		"shareVolume":         {"/v1/shares/db", `{"with": ["role:web"]}`, 200},
		"changeOwner":         {"/v1/owners/db", `{"owner": "role:postgres"}`, 200},
		"getTenancy":          {"/v1/tenancy", "", 200},
		"setTenancy":          {"/v1/tenancy", `{"tenancy": "shared"}`, 200},
		"listQuotas":          {"/v1/quotas", "", 200},
		"setQuota":            {"/v1/quotas/role:eng/web", `{"volumes": 3}`, 200},
		"listMarathonApps":    {"/v1/marathon/apps", "", 200},
		"forgetMarathonApp":   {"/v1/marathon/apps/prod/db", "", 404},
		"watch":               {"/v1/watch?volume=nothing", "", 404}, // the rest is TestWatch's
		"listNodes":           {"/v1/nodes", "", 200},
		"getNode":             {"/v1/nodes/" + nodeA, "", 200},
		"removeNode":          {"/v1/nodes/" + nodeA, "", 409}, // the rest is TestNodesAreRemoved's
		"giveUpNode":          {"/v1/nodes/" + nodeA + "/lost", "", 409},
		"allowInstance":       {"/v1/nodes/" + nodeB + "/instance", `{"instance": "i-new"}`, 200},
		"drainNode":           {"/v1/nodes/" + nodeA + "/drain", "", 200},
		"undrainNode":         {"/v1/nodes/" + nodeA + "/drain", "", 200},
		"listBackends":        {"/v1/backends", "", 200},
		"listOrphans":         {"/v1/orphans", "", 200},
		"adoptOrphan":         {"/v1/orphans/nothing", "{}", 404}, // the rest is TestOrphans'
		"forgetOrphan":        {"/v1/orphans/nothing", "", 404},
		"getStatus":           {"/v1/status", "", 200},
		"getBackup":           {"/v1/backup", "", 200},
		"getDocument":         {"/v1/openapi.json", "", 200},
		"getHealth":           {"/health", "", 200},
		"getReadiness":        {"/ready", "", 200},
	}
	c := w.raw()
	for _, op := range operations(t) {
		call, ok := calls[op.ID]
		if !ok {
			t.Errorf("the operation %s is not tried", op.ID)
			continue
		}
		if resp, text := c.do(op.Method, call.path, call.body); resp.StatusCode != call.status {
			t.Errorf("%s: got %d %s, want %d", op.ID, resp.StatusCode, text, call.status)
		}
		if op.Method == http.MethodGet && op.ID != "watch" {
			if resp, _ := c.do(http.MethodHead, call.path, ""); resp.StatusCode != call.status {
				t.Errorf("%s: HEAD: got %d, want %d", op.ID, resp.StatusCode, call.status)
			}
		}
	}
}
