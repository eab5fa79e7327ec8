package main

import (
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/marathon/follow"
)

// controlSettings is control.yml.
type controlSettings struct {
	Control control.Config `yaml:",inline"`
	// Register is the service of Consul's catalogue that this replica is put
	// into, "" for none. It is Consul's where the log is.
	Register string           `yaml:"register"`
	Marathon marathonSettings `yaml:",inline"`
	Masters  mastersSettings  `yaml:",inline"`
	Log      logSettings      `yaml:"log"`
}

func defaultControlSettings() *controlSettings {
	return &controlSettings{
		Control: control.DefaultConfig(), Register: "flocker-control", Marathon: marathonSettings{Grace: follow.DefaultGrace, MakeAhead: true},
		Masters: defaultMastersSettings(), Log: logSettings{Format: logText},
	}
}

// files are those that the settings name, beside certificates and Consul's, by their keys.
func (s *controlSettings) files() map[string]string {
	files := map[string]string{}
	if len(s.Masters.URLs) > 0 {
		files["mesos-password-file"], files["mesos-ca-file"] = s.Masters.PasswordFile, s.Masters.CAFile
		files["mesos-cert-file"], files["mesos-key-file"] = s.Masters.CertFile, s.Masters.KeyFile
	}
	if len(s.Marathon.URLs) > 0 {
		files["marathon-password-file"], files["marathon-ca-file"] = s.Marathon.PasswordFile, s.Marathon.CAFile
		files["marathon-cert-file"], files["marathon-key-file"] = s.Marathon.CertFile, s.Marathon.KeyFile
		files["marathon-token-file"], files["marathon-service-account-file"] = s.Marathon.TokenFile, s.Marathon.ServiceAccount
	}
	return files
}

// Validate says which setting is wrong, and what would be right.
func (s *controlSettings) Validate() error {
	if err := s.Log.validate(); err != nil {
		return err
	}
	if err := s.Masters.validate(); err != nil {
		return err
	}
	if s.Register != "" {
		if err := catalog.CheckService(s.Register); err != nil {
			return api.FieldErrorf("register", "%v", err)
		}
	}
	if err := s.Marathon.validate(); err != nil {
		return err
	}
	return s.Control.Validate()
}
