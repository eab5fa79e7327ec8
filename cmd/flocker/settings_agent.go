package main

import (
	"path/filepath"
	"time"

	"github.com/flocker-mesos/flocker/agent"
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/backend/stopcommand"
	"github.com/flocker-mesos/flocker/isolator/reconcile"
)

// agentSettings is agent.yml: Flocker's, and below it what is ours.
type agentSettings struct {
	Version int             `yaml:"version" env:"-"`
	Control controlAddress  `yaml:"control-service"`
	Dataset backendSettings `yaml:"dataset"`
	Logging map[string]any  `yaml:"logging" env:"-"`
	Certs   string          `yaml:"certificates"`
	Agent   agent.Config    `yaml:",inline"`
	Mesos   mesosSettings   `yaml:"mesos"`
	Stop    string          `yaml:"stop-command"`
	Metrics string          `yaml:"metrics-listen"`
	Log     logSettings     `yaml:"log"`
}

// controlAddress is where the control service listens for agents.
type controlAddress struct {
	Hostname replicas `yaml:"hostname"`
	Port     uint16   `yaml:"port"`
}

// mesosSettings say where this machine's Mesos agent is.
type mesosSettings struct {
	Agent        string `yaml:"agent"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password-file"`
	CAFile       string `yaml:"ca-file"`
	// Interval is between two looks at which containers there are.
	Interval time.Duration `yaml:"interval"`
}

// validate says which setting is wrong, and what would be right.
func (s mesosSettings) validate() error {
	if s.Agent != "" {
		if err := reconcile.CheckURL(s.Agent); err != nil {
			return api.FieldErrorf("mesos.agent", "%v", err)
		}
	}
	switch {
	case (s.User == "") != (s.PasswordFile == ""):
		return api.FieldErrorf("mesos.password-file", "mesos.user and mesos.password-file belong together: only one of them is set")
	case s.Interval < time.Second:
		return api.FieldErrorf("mesos.interval", "%s is less than a second", s.Interval)
	}
	return nil
}

// client returns the client of the Mesos agent, nil where none is named. The
// password is read at every call, so that it can change without a restart.
func (s mesosSettings) client() (*reconcile.Mesos, error) {
	if s.Agent == "" {
		return nil, nil
	}
	config, err := trusting("mesos.ca-file", s.CAFile)
	if err != nil {
		return nil, err
	}
	return reconcile.NewMesos(reconcile.Options{
		URL: s.Agent, Username: s.User, Password: func() (string, error) { return readPassword(s.PasswordFile) }, TLS: config,
	})
}

// The version of agent.yml, the only one there ever was.
const agentFileVersion = 1

func defaultAgentSettings() *agentSettings {
	return &agentSettings{
		Version: agentFileVersion,
		Control: controlAddress{Port: defaultAgentPort},
		Dataset: backendSettings{Backend: loopback.Name, RootPath: "/var/lib/flocker/loopback"},
		Agent:   agent.DefaultConfig(),
		Mesos:   mesosSettings{Interval: reconcile.DefaultInterval},
		Metrics: defaultAgentMetrics,
		Log:     logSettings{Format: logText},
	}
}

// Validate says which setting is wrong, and what would be right.
func (s *agentSettings) Validate() error {
	if s.Version != agentFileVersion {
		return api.FieldErrorf("version", "is %d, this program knows version %d", s.Version, agentFileVersion)
	}
	if len(s.Control.Hostname) == 0 {
		return api.FieldErrorf("control-service.hostname",
			"is missing: the name or address under which this machine reaches the control service")
	}
	if err := s.Control.Hostname.validate(); err != nil {
		return api.FieldErrorf("control-service.hostname", "%v", err)
	}
	if s.Control.Port == 0 {
		return api.FieldErrorf("control-service.port", "0 is not a port; it is usually %d", defaultAgentPort)
	}
	if err := s.Dataset.validate(); err != nil {
		return err
	}
	if err := s.Mesos.validate(); err != nil {
		return err
	}
	if s.Stop != "" {
		if err := stopcommand.Check(s.Stop); err != nil {
			return api.FieldErrorf("stop-command", "%v", err)
		}
	}
	if err := checkMetricsListen(s.Metrics); err != nil {
		return err
	}
	if err := s.Log.validate(); err != nil {
		return err
	}
	return s.Agent.Validate()
}

// certificates returns the directory of the agent's certificates: the one of
// the file that the settings came from, as in Flocker, unless it is set.
func (s *agentSettings) certificates(file string) string {
	if s.Certs != "" {
		return s.Certs
	}
	if file != "" {
		return filepath.Dir(file)
	}
	return defaultConfigDir
}
