package control

import (
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/control/store/consul"
	"github.com/flocker-mesos/flocker/control/store/embedded"
)

// openStore opens the log that the configuration names: the list of all kinds
// of stores. A log that is given in deps is used instead.
func openStore(cfg Config, deps Deps) (store.Log, error) {
	if deps.Store != nil {
		return deps.Store, nil
	}
	if scheme, _, _ := strings.Cut(cfg.Store, ":"); scheme == consul.Scheme {
		settings, err := consul.Parse(cfg.Store)
		if err != nil {
			return nil, err
		}
		return consul.Open(settings)
	}
	dir, err := cfg.storeDirectory()
	if err != nil {
		return nil, err
	}
	return embedded.Open(dir)
}

// logExists reports whether there may be a log: whether one in Consul is there
// is only known once it is read.
func logExists(cfg Config) bool {
	dir, err := cfg.storeDirectory()
	return err != nil || embedded.Exists(dir)
}

// OpenExisting opens the log that the configuration names, if there is one. It
// makes none.
func OpenExisting(cfg Config) (store.Log, error) {
	if !logExists(cfg) {
		return nil, fmt.Errorf("there is no log in %s", strings.TrimPrefix(cfg.Store, "file:"))
	}
	return openStore(cfg, Deps{})
}

// OpenRestorer opens what restores the log that the configuration names.
func OpenRestorer(cfg Config) (store.Restorer, error) {
	if scheme, _, _ := strings.Cut(cfg.Store, ":"); scheme == consul.Scheme {
		settings, err := consul.Parse(cfg.Store)
		if err != nil {
			return nil, err
		}
		return consul.OpenRestorer(settings)
	}
	dir, err := cfg.storeDirectory()
	if err != nil {
		return nil, err
	}
	return embedded.OpenRestorer(dir, time.Now)
}

// checkStore reports what is wrong with how a store is named.
func (c Config) checkStore() error {
	if scheme, _, _ := strings.Cut(c.Store, ":"); scheme == consul.Scheme {
		_, err := consul.Parse(c.Store)
		return err
	}
	_, err := c.storeDirectory()
	return err
}
