package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/output"
)

// userEnv is what the commands for users need of this program.
func userEnv() *cli.Env {
	return &cli.Env{
		Version:       version,
		Locate:        locateForUsers,
		AgentReplicas: replicasOfAgent,
		LookupEnv:     os.LookupEnv,
		Now:           time.Now,
		Screen:        func(w io.Writer) output.Screen { return output.ScreenOf(w, os.LookupEnv) },
	}
}

// locateForUsers says how replicas are called by users.
func locateForUsers(text string, port uint16) (client.Config, error) {
	return readReplicas(text).config(catalog.Users, port)
}

// replicasOfAgent reads which replicas agent.yml names. Of what else is in the
// file, which may be another version's, nothing is asked.
func replicasOfAgent(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the control service's name: %w", err)
	}
	var settings struct {
		Control controlAddress `yaml:"control-service"`
	}
	err = yaml.Unmarshal(text, &settings)
	if err == nil && len(settings.Control.Hostname) == 0 {
		err = errors.New("control-service.hostname is missing")
	}
	if err != nil {
		return "", fmt.Errorf("%s does not name a control service: %w", file, err)
	}
	return settings.Control.Hostname.withoutPorts().String(), nil
}
