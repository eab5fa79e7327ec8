package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/control/store/embedded"
)

// flockerFile is a current_configuration.json of version 6: two nodes, of whose
// datasets two have one name.
const flockerFile = `{"$__class__$":"Configuration","version":6,"deployment":{"$__class__$":"Deployment",
"nodes":{"$__class__$":"PMap","values":[
 [{"$__class__$":"UUID","hex":"4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"},{"$__class__$":"Node","uuid":{"$__class__$":"UUID","hex":"4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"},
  "applications":{"$__class__$":"PMap","values":[]},"manifestations":{"$__class__$":"PMap","values":[
   ["aaaaaaaa-0001-4000-8000-000000000001",{"$__class__$":"Manifestation","primary":true,"dataset":{"$__class__$":"Dataset",
    "dataset_id":"aaaaaaaa-0001-4000-8000-000000000001","deleted":false,"maximum_size":107374182400,"metadata":{"$__class__$":"PMap","values":[["name","db"]]}}}],
   ["cccccccc-0003-4000-8000-00000000000c",{"$__class__$":"Manifestation","primary":true,"dataset":{"$__class__$":"Dataset",
    "dataset_id":"cccccccc-0003-4000-8000-00000000000c","deleted":true,"maximum_size":null,"metadata":{"$__class__$":"PMap","values":[]}}}]]}}],
 [{"$__class__$":"UUID","hex":"9c1d2e3f-7a6b-4c5d-8e9f-102132435465"},{"$__class__$":"Node","uuid":{"$__class__$":"UUID","hex":"9c1d2e3f-7a6b-4c5d-8e9f-102132435465"},
  "applications":{"$__class__$":"PMap","values":[]},"manifestations":{"$__class__$":"PMap","values":[
   ["bbbbbbbb-0002-4000-8000-00000000000b",{"$__class__$":"Manifestation","primary":true,"dataset":{"$__class__$":"Dataset",
    "dataset_id":"bbbbbbbb-0002-4000-8000-00000000000b","deleted":false,"maximum_size":null,"metadata":{"$__class__$":"PMap","values":[["name","db"]]}}}]]}}]]},
"leases":{"$__class__$":"PMap","values":[[{"$__class__$":"UUID","hex":"aaaaaaaa-0001-4000-8000-000000000001"},{"$__class__$":"Lease",
 "dataset_id":{"$__class__$":"UUID","hex":"aaaaaaaa-0001-4000-8000-000000000001"},"node_id":{"$__class__$":"UUID","hex":"4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111"},"expiration":null}],
 [{"$__class__$":"UUID","hex":"bbbbbbbb-0002-4000-8000-00000000000b"},{"$__class__$":"Lease",
 "dataset_id":{"$__class__$":"UUID","hex":"bbbbbbbb-0002-4000-8000-00000000000b"},"node_id":{"$__class__$":"UUID","hex":"9c1d2e3f-7a6b-4c5d-8e9f-102132435465"},
 "expiration":{"$__class__$":"datetime","seconds":1480000000}}]]},
"persistent_state":{"$__class__$":"PersistentState","blockdevice_ownership":{"$__class__$":"PMap","values":[
 [{"$__class__$":"UUID","hex":"aaaaaaaa-0001-4000-8000-000000000001"},"vol-0a1b2c3d"]]}}}}`

func TestFlockersDatasetsAreTakenOver(t *testing.T) {
	certs, dir := controlCertificates(t), filepath.Join(t.TempDir(), "log")
	file := filepath.Join(t.TempDir(), "current_configuration.json")
	if err := os.WriteFile(file, []byte(flockerFile), 0o600); err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append([]string{"control", "import", file, "--store", "file:" + dir, "--certificates", certs}, more...)
	}
	refused(t, "--backend NAME", args()...)
	refused(t, "--rename 'bbbbbbbb-0002-4000-8000-00000000000b=db-bbbbbbbb'", args("--backend", "aws")...)
	refused(t, "want ID=NAME", args("--backend", "aws", "--rename", "x")...)
	out := succeed(t, args("--backend", "aws", "--rename", "others", "--dry-run")...)
	for _, want := range []string{
		`(?m)^aaaaaaaa-0001-4000-8000-000000000001 +db +100GiB +4b2f6f0e +vol-0a1b2c3d +-$`,
		`(?m)^bbbbbbbb-0002-4000-8000-00000000000b +db-bbbbbbbb +75GiB +9c1d2e3f +- +was called db$`,
		`(?m)^cccccccc-0003-4000-8000-00000000000c +- +75GiB +4b2f6f0e +- +deleted$`,
		`is of version 6\. It has datasets: 2, deleted ones: 1, nodes: 2, leases: 1\.`,
		`(?m)^Leased: dataset aaaaaaaa-0001-4000-8000-000000000001 by node 4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111, for ever\.$`,
		`Not taken over: the lease of dataset bbbbbbbb-0002-4000-8000-00000000000b by node .*, which expired at 2016-11-24T`,
		`1 datasets have no volume registered`,
		`Nothing was done`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("dry run: got\n%s\nwant %s", out, want)
		}
	}
	if embedded.Exists(dir) {
		t.Error("a dry run has made a log")
	}
	succeed(t, args("--backend", "aws", "--rename", "others")...)
	refused(t, "is not empty", args("--backend", "aws", "--rename", "others")...)

	settings := defaultControlSettings()
	settings.Control.Store, settings.Control.Certificates = "file:"+dir, certs
	settings.Control.Listen, settings.Control.AgentListen = "127.0.0.1:0", "127.0.0.1:0"
	service, err := openControl(t.Context(), settings, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if d := service.Replica().State().DatasetByName("db"); d == nil || d.Volume == nil || d.Volume.ID != "vol-0a1b2c3d" || d.Volume.Backend != "aws" {
		t.Errorf("db: got %+v", d)
	}
	if l := service.Replica().State().Lease("aaaaaaaa-0001-4000-8000-000000000001"); !l.HeldBy("4b2f6f0e-5d8f-4a4a-9a52-0d7ad9e0a111") || !l.Expires.IsZero() {
		t.Errorf("lease of db: got %+v", l)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}

func TestFileThatIsNoConfigurationIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "current_configuration.json")
	if err := os.WriteFile(file, []byte(strings.Replace(flockerFile, `"deleted":true`, `"deleted":"yes"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, `deployment.nodes.values[0][1].manifestations.values[1][1].dataset.deleted: is neither true nor false`,
		"control", "import", file, "--store", "file:"+t.TempDir(), "--certificates", controlCertificates(t))
}
