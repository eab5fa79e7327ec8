package lab_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/test/lab"
)

func TestHostsHaveTheBuiltPrograms(t *testing.T) {
	t.Parallel()
	programs, err := lab.Build(t.Context(), lab.Plain, "./test/mesos/mesos-launch")
	if err != nil {
		t.Fatal(err)
	}
	_, hosts := newLab(t, lab.Options{Programs: programs}, "node1")
	if got := output(t, hosts[0], "sh", "-c", "command -v mesos-launch"); got != lab.ProgramsDir+"/mesos-launch" {
		t.Errorf("mesos-launch is %q", got)
	}
	out, err := hosts[0].Command(t.Context(), "touch", lab.ProgramsDir+"/x").Output()
	if err == nil || !strings.Contains(err.Error(), "Read-only") {
		t.Errorf("a host can write beside the programs: %q, %v", out, err)
	}
}
