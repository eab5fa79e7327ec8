package csi

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
)

func TestAgentIsAsTheSpecificationWants(t *testing.T) {
	config := sanity.NewTestConfig()
	dir := t.TempDir()
	config.Address = "unix://" + withController(t, startAgent(t))
	config.TargetPath, config.StagingPath = filepath.Join(dir, "target"), filepath.Join(dir, "staging")
	// What is about controllers is about the one of this test.
	if err := flag.Set("ginkgo.skip", "Controller Service|DeleteVolume|ListSnapshots"); err != nil {
		t.Fatal(err)
	}
	sanity.Test(t, config)
}
