package memory_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/memory"
	"github.com/flocker-mesos/flocker/control/store/storetest"
)

func TestLog(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Open {
		s := &memory.Store{}
		return func() (store.Log, error) { return s.Open(), nil }
	})
}
