package main

import "github.com/flocker-mesos/flocker/control"

// controlSettings is control.yml.
type controlSettings struct {
	Control control.Config `yaml:",inline"`
	Log     logSettings    `yaml:"log"`
}

func defaultControlSettings() *controlSettings {
	return &controlSettings{Control: control.DefaultConfig(), Log: logSettings{Format: logText}}
}

// Validate says which setting is wrong, and what would be right.
func (s *controlSettings) Validate() error {
	if err := s.Log.validate(); err != nil {
		return err
	}
	return s.Control.Validate()
}
