package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Config is what a user may set of an agent, apart from its backend and the
// address of the control service.
type Config struct {
	StateDir  string `yaml:"state-dir" env:"FLOCKER_AGENT_STATE_DIR"`
	RunDir    string `yaml:"run-dir" env:"FLOCKER_AGENT_RUN_DIR"`
	MountRoot string `yaml:"mount-root" env:"FLOCKER_MOUNT_ROOT"`
	Socket    string `yaml:"socket" env:"FLOCKER_AGENT_SOCKET"`
	// CSISocket is where orchestrators that speak CSI call the agent, "" for nowhere.
	CSISocket string        `yaml:"csi-socket" env:"FLOCKER_CSI_SOCKET"`
	WaitLimit time.Duration `yaml:"wait-limit" env:"FLOCKER_WAIT_LIMIT"`
	Workers   int           `yaml:"workers" env:"FLOCKER_WORKERS"`
	// Zone is the one that this machine is in, "" where only the backend may know.
	Zone string `yaml:"zone" env:"FLOCKER_ZONE"`
	// PreemptGrace is for how long processes that use a volume which another
	// node preempts are asked to end before they are killed.
	PreemptGrace time.Duration `yaml:"preempt-grace" env:"FLOCKER_PREEMPT_GRACE"`
	// TrimInterval is how often mounted volumes give their free blocks back to a thin
	// storage, 0 for never.
	TrimInterval time.Duration `yaml:"trim-interval" env:"FLOCKER_TRIM_INTERVAL"`
	// AllowOptions are the mount options that containers may ask for, of
	// api.MountOptions.
	AllowOptions []string `yaml:"allow-options" env:"FLOCKER_ALLOW_OPTIONS"`
}

// DefaultConfig returns what holds where nothing is set.
func DefaultConfig() Config {
	return Config{
		StateDir:  "/var/lib/flocker/agent",
		RunDir:    "/run/flocker",
		MountRoot: "/flocker",
		Socket:    api.DefaultSocket,
		WaitLimit: 45 * time.Second,
		Workers:   8,

		PreemptGrace: 10 * time.Second,
		TrimInterval: 7 * 24 * time.Hour,
	}
}

// Validate says which setting is wrong, and what would be right.
func (c Config) Validate() error {
	paths := []struct{ key, path string }{
		{"state-dir", c.StateDir}, {"run-dir", c.RunDir}, {"mount-root", c.MountRoot}, {"socket", c.Socket}, {"csi-socket", c.CSISocket},
	}
	if c.CSISocket == "" {
		paths = paths[:len(paths)-1]
	}
	for _, p := range paths {
		if !filepath.IsAbs(p.path) || filepath.Clean(p.path) == "/" {
			return api.FieldErrorf(p.key, "%q is not an absolute path below /", p.path)
		}
	}
	if c.WaitLimit <= 0 || c.WaitLimit > 24*time.Hour {
		return api.FieldErrorf("wait-limit", "%s is not a time between 1ns and 24h; keep it below Mesos' "+
			"--executor_registration_timeout, 1 minute by default", c.WaitLimit)
	}
	if c.PreemptGrace < 0 || c.PreemptGrace > time.Hour {
		return api.FieldErrorf("preempt-grace", "%s is not a time between 0s and 1h", c.PreemptGrace)
	}
	if c.TrimInterval < 0 || c.TrimInterval > 0 && c.TrimInterval < time.Minute {
		return api.FieldErrorf("trim-interval", "%s is neither 0s, for never, nor at least 1m", c.TrimInterval)
	}
	if c.Workers < 1 || c.Workers > 256 {
		return api.FieldErrorf("workers", "%d is not a number from 1 to 256", c.Workers)
	}
	for _, option := range c.AllowOptions {
		if !slices.Contains(api.MountOptions, option) {
			return api.FieldErrorf("allow-options", "%q is no option that can be allowed: there are %s", option, strings.Join(api.MountOptions, " and "))
		}
	}
	if err := api.CheckZone("zone", c.Zone); err != nil {
		return err
	}
	for _, p := range []struct{ key, path string }{{"socket", c.Socket}, {"csi-socket", c.CSISocket}} {
		if len(p.path) > 100 {
			return api.FieldErrorf(p.key, "%q is longer than the 100 bytes that a unix socket's path may have", p.path)
		}
	}
	if c.Socket == c.CSISocket {
		return api.FieldErrorf("csi-socket", "%q is the socket of flocker-isolator, which speaks another language", c.CSISocket)
	}
	return nil
}

func (c Config) consumersDir() string { return filepath.Join(c.StateDir, "consumers") }
func (c Config) identityFile() string { return filepath.Join(c.StateDir, "agent-id") }
func (c Config) timesFile() string    { return filepath.Join(c.StateDir, "times.json") }
func (c Config) lockFile() string     { return filepath.Join(c.StateDir, "lock") }

// mountPoints is the writable side of the mount root. Below the run directory
// it is gone after a reboot, as all that was mounted is.
func (c Config) mountPoints() string { return filepath.Join(c.RunDir, "mnt") }

// csiDir has the records of what is mounted for who speaks CSI. They are of no
// use after a reboot, and in memory they cost nothing.
func (c Config) csiDir() string { return filepath.Join(c.RunDir, "csi") }

func (c Config) String() string {
	return fmt.Sprintf("state-dir=%s mount-root=%s socket=%s csi-socket=%s wait-limit=%s workers=%d preempt-grace=%s zone=%s", c.StateDir, c.MountRoot,
		c.Socket, c.CSISocket, c.WaitLimit, c.Workers, c.PreemptGrace, c.Zone)
}
