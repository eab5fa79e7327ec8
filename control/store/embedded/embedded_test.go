package embedded_test

import (
	"testing"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/embedded"
	"github.com/flocker-mesos/flocker/control/store/storetest"
)

func TestLog(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		dir := t.TempDir()
		return func() (store.Log, error) {
			log, err := embedded.Open(dir)
			if err != nil {
				return nil, err
			}
			return log, nil
		}
	})
}
