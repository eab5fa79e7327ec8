package catalog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"
)

// Side is one of the two sides of the control service.
type Side int

// The sides.
const (
	Users Side = iota
	Agents
)

// metaAgents is the value of an instance that says where agents call it.
const metaAgents = "agents"

// Finder finds where one side of the replicas is called.
type Finder struct {
	catalog *Catalog
	side    Side
}

// Finder returns what finds the replicas for one side.
func (c *Catalog) Finder(side Side) *Finder { return &Finder{catalog: c, side: side} }

// Replicas returns HOST:PORT of all replicas that are well, in any order, and
// where none is, of all that are registered: what fails its check may serve
// all the same.
func (f *Finder) Replicas(ctx context.Context) ([]string, error) {
	var entries []*api.ServiceEntry
	err := f.catalog.ask(ctx, func(ctx context.Context, consul *api.Client) (err error) {
		// Any server may answer, also one that knows no leader.
		q := (&api.QueryOptions{AllowStale: true}).WithContext(ctx)
		entries, _, err = consul.Health().Service(f.catalog.service, "", false, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up the service %s in Consul: %w", f.catalog.service, err)
	}
	var well, all []string
	for _, e := range entries {
		address := f.address(e)
		if address == "" {
			continue
		}
		all = append(all, address)
		if e.Checks.AggregatedStatus() == api.HealthPassing {
			well = append(well, address)
		}
	}
	if len(well) == 0 {
		well = all
	}
	if len(well) == 0 {
		return nil, fmt.Errorf("the service %s has no instances in Consul", f.catalog.service)
	}
	rand.Shuffle(len(well), func(i, j int) { well[i], well[j] = well[j], well[i] })
	return well, nil
}

// address returns where an instance is called, "" if it does not say.
func (f *Finder) address(e *api.ServiceEntry) string {
	if f.side == Agents {
		return e.Service.Meta[metaAgents]
	}
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
}
