package reconcile

import (
	"context"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/agent/calls"

	"github.com/flocker-mesos/flocker/api"
)

// inspectLimit bounds an inspection. A client of the agent's socket waits 5 s.
const inspectLimit = 3 * time.Second

// judged are the flags that the doctor judges. Others may hold secrets.
var judged = []string{
	"authenticate_http_readonly", "authenticate_http_readwrite", "cgroups_hierarchy", "cgroups_root", "containerizers", "csi_plugin_config_dir",
	"executor_registration_timeout", "executor_shutdown_grace_period", "hostname", "ip", "isolation", "launcher", "modules", "modules_dir", "port",
	"recover", "runtime_dir", "sandbox_directory", "switch_user", "work_dir",
}

// Inspect makes all the calls that Flocker needs of the Mesos agent, side by side,
// and tells which of them fail. A list of containers that waits for an isolator is
// no failure.
func (m *Mesos) Inspect(ctx context.Context) *api.MesosInfo {
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	info := &api.MesosInfo{URL: m.base, Troubles: map[string]*api.MesosTrouble{}}
	var mu sync.Mutex
	failed := func(call string, err error) {
		mu.Lock()
		defer mu.Unlock()
		t := TroubleOf(err)
		info.Troubles[call] = &api.MesosTrouble{Kind: t.Kind, Cause: t.Cause}
	}
	var done sync.WaitGroup
	done.Go(func() {
		flags, err := m.Flags(ctx)
		if err != nil {
			failed(api.MesosCallFlags, err)
			return
		}
		info.Flags = map[string]string{}
		for _, name := range judged {
			if value, ok := flags[name]; ok {
				info.Flags[name] = value
			}
		}
		groups, err := Cgroups{}.Find(flags)
		if err != nil {
			failed(api.MesosCallGroups, err)
			return
		}
		info.Groups = groups.roots
	})
	done.Go(func() {
		if _, err := m.Containers(ctx); err != nil && ctx.Err() == nil {
			failed(api.MesosCallContainers, err)
		}
	})
	done.Go(func() {
		if _, err := m.ask(ctx, calls.GetTasks()); err != nil {
			failed(api.MesosCallTasks, err)
		}
	})
	done.Go(func() {
		if _, err := m.frameworks(ctx); err != nil {
			failed(api.MesosCallFrameworks, err)
		}
	})
	done.Wait()
	return info
}
