package csi

import (
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestEveryMountFlagThatIsPossibleIsKnown(t *testing.T) {
	for _, flag := range api.CSIMountFlags {
		if _, known := mountOptions[flag]; !known {
			t.Errorf("%s is possible, and nothing is done about it", flag)
		}
	}
	if len(mountOptions) != len(api.CSIMountFlags) {
		t.Errorf("there are %d options, and %d are possible", len(mountOptions), len(api.CSIMountFlags))
	}
}
