package memory_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/memory"
	"github.com/flocker-mesos/flocker/control/store/storetest"
)

func TestRestore(t *testing.T) {
	storetest.RunRestore(t, func(*testing.T) (storetest.Open, storetest.OpenRestorer) {
		s := &memory.Store{}
		return func() (store.Log, error) { return s.Open(), nil }, func() (store.Restorer, error) { return s.Restorer(), nil }
	})
}
