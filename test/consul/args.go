package consul

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
)

// Ports of every server; each has an address of its own.
const (
	HTTPPort   = 8500
	serverPort = 8300
	serfPort   = 8301
)

// Server says how a Consul server is run.
type Server struct {
	Name    string
	Address string   // it serves and talks to its peers on
	Dir     string   // keeps its data and its configuration; made if need be
	Expect  int      // servers in the cluster
	Join    []string // addresses of the others
	Extra   map[string]any
}

// Args writes the server's configuration and returns the arguments that Binary
// is to be started with. It elects leaders as fast as Consul can.
func (s Server) Args() ([]string, error) {
	config := map[string]any{
		"server":           true,
		"node_name":        s.Name,
		"data_dir":         filepath.Join(s.Dir, "data"),
		"bind_addr":        s.Address,
		"client_addr":      s.Address,
		"bootstrap_expect": s.Expect,
		"retry_join":       s.Join,
		"retry_interval":   "200ms",
		"ports": map[string]int{
			"http": HTTPPort, "server": serverPort, "serf_lan": serfPort,
			"serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1,
		},
		"performance": map[string]int{"raft_multiplier": 1},
		// A killed server stays a member, so that it is missed.
		"autopilot":            map[string]any{"cleanup_dead_servers": false},
		"leave_on_terminate":   false,
		"disable_update_check": true,
		"connect":              map[string]bool{"enabled": false},
		"log_level":            "INFO",
	}
	maps.Copy(config, s.Extra)
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encode configuration of %s: %w", s.Name, err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", s.Name, err)
	}
	path := filepath.Join(s.Dir, "consul.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", s.Name, err)
	}
	return []string{"agent", "-config-file=" + path}, nil
}

// HTTP returns host:port of the server's API.
func (s Server) HTTP() string { return s.Address + ":" + strconv.Itoa(HTTPPort) }
