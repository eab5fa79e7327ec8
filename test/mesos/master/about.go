package master

import "strings"

// flags are some of a master's, one of which no agent has.
var flags = map[string]string{
	"agent_ping_timeout": "15secs", "agent_reregister_timeout": "10mins", "allocator": "hierarchical", "authenticate_http_readonly": "false",
	"authenticate_http_readwrite": "false", "max_agent_ping_timeouts": "5", "port": "5050", "quorum": "1", "registry": "replicated_log",
}

// part adds a part to an answer in JSON, for what mesos-go's messages do not know.
func part(name string, value map[string]any) func(map[string]any) {
	return func(tree map[string]any) { tree[name] = value }
}

func (m *Master) info() map[string]any {
	host, _, _ := strings.Cut(m.address, ":")
	return map[string]any{
		"start_time": 1.0, "elected_time": 1.0,
		"master_info": map[string]any{
			"id": "9f54f7a9-5c73-49f6-9b7a-e062acfd62d5", "ip": 16777343, "port": 5050, "pid": "master@" + m.address, "hostname": host, "version": "1.12.0",
			"address": map[string]any{"hostname": host, "ip": host, "port": 5050},
			"domain":  map[string]any{"fault_domain": map[string]any{"region": map[string]any{"name": "r"}, "zone": map[string]any{"name": "za"}}},
			"capabilities": []any{
				map[string]any{"type": "AGENT_UPDATE"}, map[string]any{"type": "AGENT_DRAINING"}, map[string]any{"type": "QUOTA_V2"},
			},
		},
	}
}

func frameworks() map[string]any {
	registered := map[string]any{"nanoseconds": 1796057350449275904}
	return map[string]any{"completed_frameworks": []any{}, "frameworks": []any{map[string]any{
		"framework_info": map[string]any{
			"user": "root", "name": "marathon", "id": map[string]any{"value": Framework}, "failover_timeout": 604800.0, "checkpoint": true, "roles": []any{"*"},
			"hostname": "127.0.0.1", "webui_url": "http://127.0.0.1:8080", "capabilities": []any{map[string]any{"type": "TASK_KILLING_STATE"}, map[string]any{"type": "PARTITION_AWARE"}},
		},
		"active": true, "connected": true, "recovered": false, "registered_time": registered, "reregistered_time": registered, "offer_constraints": map[string]any{},
	}}}
}

// completeAgents adds what mesos-go's message of an agent does not have.
func completeAgents(tree map[string]any) {
	list, ok := tree["get_agents"].(map[string]any)
	if !ok {
		return
	}
	for _, a := range list["agents"].([]any) {
		a.(map[string]any)["agent_info"].(map[string]any)["checkpoint"] = true
	}
	for _, a := range list["recovered_agents"].([]any) {
		a.(map[string]any)["checkpoint"] = true
	}
}

// completeExecutors adds what mesos-go's message of an executor does not have.
func completeExecutors(tree map[string]any) {
	list, ok := tree["get_executors"].(map[string]any)
	if !ok {
		return
	}
	for _, e := range list["executors"].([]any) {
		info := e.(map[string]any)["executor_info"].(map[string]any)
		info["container"], info["labels"] = map[string]any{"type": "MESOS", "linux_info": map[string]any{"share_cgroups": false}}, map[string]any{}
	}
}

// completeState adds what mesos-go's message of the state does not have.
func completeState(state map[string]any) {
	completeExecutors(state)
	state["get_frameworks"] = frameworks()
	completeAgents(state)
}

func completeEvent(event map[string]any) {
	if added, ok := event["agent_added"].(map[string]any); ok {
		added["agent"].(map[string]any)["agent_info"].(map[string]any)["checkpoint"] = true
	}
	if subscribed, ok := event["subscribed"].(map[string]any); ok {
		completeState(subscribed["get_state"].(map[string]any))
	}
}

// old is what the paths of before the v1 API tell, in short.
func (c *Cluster) old(path string) map[string]any {
	switch path {
	case "/tasks":
		return map[string]any{"tasks": []any{}}
	default:
		slaves, recovered := []any{}, []any{}
		for _, a := range c.agents {
			entry := map[string]any{"id": a.ID, "hostname": a.Hostname, "port": 5051, "attributes": map[string]any{}}
			if a.recovered {
				recovered = append(recovered, entry)
			} else if a.present() {
				entry["pid"], entry["active"] = "slave(1)@"+a.Address+":5051", !a.inactive
				slaves = append(slaves, entry)
			}
		}
		return map[string]any{"slaves": slaves, "recovered_slaves": recovered}
	}
}
