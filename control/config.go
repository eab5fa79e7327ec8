package control

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/control/store/consul"
)

// Config is what control.yml sets.
type Config struct {
	// Listen is where users are served, AgentListen where agents are.
	Listen      string `yaml:"listen"`
	AgentListen string `yaml:"agent-listen"`
	// Advertise is the name or address under which agents and users reach this
	// replica, "" for the address that it listens on or, where that is none of
	// its own, the name of the machine.
	Advertise string `yaml:"advertise"`
	// MetricsListen is where /metrics and /health are served without TLS, ""
	// for nowhere. It must be an address of this machine only.
	MetricsListen string `yaml:"metrics-listen"`
	// Certificates is the directory of cluster.crt and control-service.crt/.key.
	Certificates string `yaml:"certificates"`
	// Store is where the log is kept: file:DIRECTORY for one replica, or
	// consul://HOST:PORT/PREFIX for any number.
	Store string `yaml:"store"`
	// StateDir is where this replica remembers which log it has seen; "" for the
	// directory of the store, or DefaultStateDir where that is in Consul.
	StateDir string `yaml:"state-dir"`
	// DefaultSize is the size of datasets for which none was asked.
	DefaultSize string `yaml:"default-size"`
	// MaxSize is the largest size of a dataset.
	MaxSize string `yaml:"max-size"`
	// Heartbeat is the longest silence between two lines of an agent's stream.
	// An agent that is silent for three of them is taken to be gone.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// KeepDeleted is how long deleted datasets are listed, and their ids
	// reserved, after their volumes are gone.
	KeepDeleted time.Duration `yaml:"keep-deleted"`
	// OnLostNode is what becomes of a node that is silent but, as far as the
	// storage system can tell, running: wait, stop-instance or force-detach.
	OnLostNode string `yaml:"on-lost-node"`
	// WriteRate is how many changes a second one certificate can ask for in the long
	// run, and 20 times as many at once; 0 for any number.
	WriteRate int `yaml:"write-rate"`
	// Tenancy is whether a new log keeps owners apart: owners or shared. What a log
	// has is changed by flocker tenancy.
	Tenancy string `yaml:"tenancy"`
}

// defaultMetricsListen is a port that another program of this machine may have.
const defaultMetricsListen = "127.0.0.1:4525"

// DefaultConfig returns what holds where control.yml says nothing.
func DefaultConfig() Config {
	return Config{
		Listen:        ":4523",
		AgentListen:   ":4524",
		MetricsListen: defaultMetricsListen,
		Certificates:  "/etc/flocker",
		Store:         "file:/var/lib/flocker/control",
		DefaultSize:   api.FormatSize(api.DefaultSizeBytes),
		MaxSize:       api.FormatSize(api.DefaultMaxSize),
		Heartbeat:     5 * time.Second,
		KeepDeleted:   30 * 24 * time.Hour,
		OnLostNode:    string(api.FenceWait),
		WriteRate:     50,
		Tenancy:       string(api.TenancyOwners),
	}
}

// Heartbeats must be rare enough that thousands of agents cost nothing, and
// often enough that a lost node is noticed.
const (
	minHeartbeat = 10 * time.Millisecond // for tests
	maxHeartbeat = 5 * time.Minute
)

// Validate reports every mistake in c.
func (c Config) Validate() error {
	var mistakes []error
	for _, listen := range []struct{ key, value string }{{"listen", c.Listen}, {"agent-listen", c.AgentListen}} {
		if _, _, err := net.SplitHostPort(listen.value); err != nil {
			mistakes = append(mistakes, api.FieldErrorf(listen.key, "%v", err))
		}
	}
	if strings.ContainsAny(c.Advertise, " /,") || net.ParseIP(c.Advertise) == nil && strings.Contains(c.Advertise, ":") {
		mistakes = append(mistakes, api.FieldErrorf("advertise", "%q is not a host name or address, without a port", c.Advertise))
	}
	if c.MetricsListen != "" {
		mistakes = append(mistakes, checkLoopback(c.MetricsListen))
	}
	if _, err := c.defaultSize(); err != nil {
		mistakes = append(mistakes, api.FieldErrorf("default-size", "%s", api.AsError(err).Message))
	}
	if _, err := c.maxSize(); err != nil {
		mistakes = append(mistakes, api.FieldErrorf("max-size", "%s", api.AsError(err).Message))
	}
	if c.Heartbeat < minHeartbeat || c.Heartbeat > maxHeartbeat {
		mistakes = append(mistakes, api.FieldErrorf("heartbeat", "%s is not between %s and %s", c.Heartbeat, minHeartbeat, maxHeartbeat))
	}
	if c.WriteRate < 0 {
		mistakes = append(mistakes, api.FieldErrorf("write-rate", "%d is negative", c.WriteRate))
	}
	if c.KeepDeleted < 0 {
		mistakes = append(mistakes, api.FieldErrorf("keep-deleted", "%s is negative", c.KeepDeleted))
	}
	switch policy := api.FencePolicy(c.OnLostNode); policy {
	case api.FenceWait, api.FenceStop, api.FenceForce:
	default:
		mistakes = append(mistakes, api.FieldErrorf("on-lost-node", "%q is none of %s, %s, %s", c.OnLostNode,
			api.FenceWait, api.FenceStop, api.FenceForce))
	}
	if c.StateDir != "" && !filepath.IsAbs(c.StateDir) {
		mistakes = append(mistakes, api.FieldErrorf("state-dir", "%q is not an absolute directory", c.StateDir))
	}
	switch api.Tenancy(c.Tenancy) {
	case api.TenancyOwners, api.TenancyShared:
	default:
		mistakes = append(mistakes, api.FieldErrorf("tenancy", "%q is neither %s nor %s", c.Tenancy, api.TenancyOwners, api.TenancyShared))
	}
	if err := c.checkStore(); err != nil {
		mistakes = append(mistakes, api.FieldErrorf("store", "%v", err))
	}
	return errors.Join(mistakes...)
}

// checkLoopback keeps what is served without TLS on this machine.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return api.FieldErrorf("metrics-listen", "%v", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return api.FieldErrorf("metrics-listen", "%q is not an address of this machine only, such as 127.0.0.1:4525", address)
	}
	return nil
}

func (c Config) defaultSize() (int64, error) {
	size, err := api.ParseSize(c.DefaultSize)
	if err != nil {
		return 0, err
	}
	return size, cluster.CheckSize("default-size", size)
}

// maxSize returns the largest size, 0 for the default.
func (c Config) maxSize() (int64, error) {
	size, err := api.ParseSize(c.MaxSize)
	if err != nil {
		return 0, err
	}
	if least, err := c.defaultSize(); err == nil && size < least {
		return 0, api.Errorf(api.CodeInvalid, "%s is less than default-size, %s: raise the one or lower the other", c.MaxSize, c.DefaultSize)
	}
	if size == api.DefaultMaxSize {
		return 0, nil
	}
	return size, nil
}

// settings are what all replicas must agree on.
func (c Config) settings() (api.Settings, error) {
	size, err := c.defaultSize()
	if err != nil {
		return api.Settings{}, err
	}
	largest, err := c.maxSize()
	return api.Settings{
		DefaultSize: size, MaxSize: largest, Heartbeat: c.Heartbeat, KeepDeleted: c.KeepDeleted, OnLostNode: api.FencePolicy(c.OnLostNode),
	}, err
}

// Directory returns the directory of a store in a file, "" for another store.
func (c Config) Directory() string {
	dir, err := c.storeDirectory()
	if err != nil {
		return ""
	}
	return dir
}

// storeDirectory returns the directory of a store of the scheme file.
func (c Config) storeDirectory() (string, error) {
	scheme, dir, _ := strings.Cut(c.Store, ":")
	if scheme != "file" {
		return "", fmt.Errorf("%q is not a store: write file:DIRECTORY or consul://HOST:PORT/PREFIX", consul.Redacted(c.Store))
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%q is not an absolute directory", dir)
	}
	return filepath.Clean(dir), nil
}
