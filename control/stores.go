package control

import (
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/embedded"
)

// openStore opens the log that the configuration names: the list of all kinds
// of stores. A log that is given in deps is used instead.
func openStore(cfg Config, deps Deps) (store.Log, error) {
	if deps.Store != nil {
		return deps.Store, nil
	}
	dir, err := cfg.storeDirectory()
	if err != nil {
		return nil, err
	}
	return embedded.Open(dir)
}
