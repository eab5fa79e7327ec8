package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
)

// Instance is a replica of the control service.
type Instance struct {
	// Users and Agents are HOST:PORT, as others reach them.
	Users, Agents string
	Version       string
}

// A replica says that it is well far more often than Consul wants to hear it,
// so that a Consul agent that was restarted, or an answer that was lost, does
// not make it a bad one. What has died for good is forgotten after a while.
const (
	sayEvery   = 2 * time.Second
	ttl        = 10 * time.Second
	forgetAt   = 5 * time.Minute
	byeTimeout = 2 * time.Second
)

// Register keeps a replica in the catalogue until ctx ends, and takes it out
// then. Well says whether it should be called, and why not; it is asked often.
// While Consul cannot be reached Register tries again: nothing else depends on it.
func (c *Catalog) Register(ctx context.Context, in Instance, well func() error, log *slog.Logger) error {
	entry, err := c.entry(in)
	if err != nil {
		return err
	}
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	r := &registration{catalog: c, entry: entry, well: well, log: log}
	for {
		r.say(ctx)
		select {
		case <-ctx.Done():
			r.bye(ctx)
			return nil
		case <-tick.C:
		}
	}
}

// entry is what Consul is told of a replica. Its id is made of its address, so
// that a replica that is started again takes its own old place.
func (c *Catalog) entry(in Instance) (*api.AgentServiceRegistration, error) {
	host, text, err := net.SplitHostPort(in.Users)
	if err != nil {
		return nil, fmt.Errorf("address for users: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("address for users %s: %w", in.Users, err)
	}
	id := c.service + "-" + in.Users
	return &api.AgentServiceRegistration{
		ID: id, Name: c.service, Address: host, Port: port,
		Meta: map[string]string{metaAgents: in.Agents, "version": in.Version},
		Check: &api.AgentServiceCheck{
			CheckID: id, Name: "Can serve", TTL: ttl.String(), DeregisterCriticalServiceAfter: forgetAt.String(),
		},
	}, nil
}

// registration is the place of a replica in the catalogue.
type registration struct {
	catalog *Catalog
	entry   *api.AgentServiceRegistration
	well    func() error
	log     *slog.Logger

	there   bool // as far as we know
	tried   bool // it may be there, though the answer was not waited for
	failing bool // since the last success
}

// say tells Consul how the replica is, and puts it into the catalogue where
// Consul does not know it: it was never there, Consul's agent has lost it, or
// it is another agent.
func (r *registration) say(ctx context.Context) {
	status, text := api.HealthPassing, "It serves users and agents."
	if err := r.well(); err != nil {
		status, text = api.HealthCritical, err.Error()
	}
	err := r.catalog.ask(ctx, func(ctx context.Context, consul *api.Client) error {
		q := (&api.QueryOptions{}).WithContext(ctx)
		if r.there && consul.Agent().UpdateTTLOpts(r.entry.ID, text, status, q) == nil {
			return nil
		}
		r.there, r.tried = false, true
		opts := api.ServiceRegisterOpts{}.WithContext(ctx)
		if err := consul.Agent().ServiceRegisterOpts(r.entry, opts); err != nil {
			return err
		}
		if err := consul.Agent().UpdateTTLOpts(r.entry.ID, text, status, q); err != nil {
			return err
		}
		r.there = true
		r.log.Info("registered in Consul's catalogue", "service", r.entry.Name, "id", r.entry.ID, "agents", r.entry.Meta[metaAgents])
		return nil
	})
	switch {
	case err == nil:
		r.failing = false
	case ctx.Err() == nil && !r.failing:
		r.failing = true
		r.log.Warn("cannot keep the place in Consul's catalogue, will try again", "service", r.entry.Name, "cause", err)
	}
}

// bye takes the replica out of the catalogue, after ctx has ended.
func (r *registration) bye(ctx context.Context) {
	if !r.tried {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), byeTimeout)
	defer cancel()
	err := r.catalog.ask(ctx, func(ctx context.Context, consul *api.Client) error {
		return consul.Agent().ServiceDeregisterOpts(r.entry.ID, (&api.QueryOptions{}).WithContext(ctx))
	})
	if err != nil {
		r.log.Warn("could not leave Consul's catalogue, which will notice by itself", "service", r.entry.Name, "cause", err)
	}
}
