package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/catalog"
	"github.com/flocker-mesos/flocker/pki"
)

// connection says how a user's commands reach the control service. Flags and
// variables are those of Flocker's flockerctl.
type connection struct {
	control string
	port    uint16
	certs   string
	user    string

	replicas replicas // that control or agent.yml names
}

// The variables of the commands for users.
const (
	envControl = "FLOCKER_CONTROL_SERVICE"
	envPort    = "FLOCKER_CONTROL_PORT"
	envCerts   = "FLOCKER_CERTS_PATH"
	envUser    = "FLOCKER_USER"
)

func (c *connection) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&c.control, "control-service", os.Getenv(envControl),
		"hosts of the control service, or consul://HOST:PORT/SERVICE ("+envControl+"), by default what agent.yml in the\n"+
			"directory of certificates says")
	flags.Uint16Var(&c.port, "control-port", defaultRESTPort, "port of its REST API ("+envPort+")")
	flags.StringVar(&c.certs, "certs-path", withDefault(os.Getenv(envCerts), defaultConfigDir),
		"directory of cluster.crt and the user's certificate and key ("+envCerts+")")
	flags.StringVar(&c.user, "user", withDefault(os.Getenv(envUser), "user"), "name of the user: USER.crt and USER.key ("+envUser+")")
}

func withDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// client connects as the user. The caller closes it.
func (c *connection) client(cmd *cobra.Command) (*client.Client, error) {
	if err := c.complete(cmd); err != nil {
		return nil, err
	}
	creds, err := pki.Load(c.certs, c.user, pki.RoleUser, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("%w\n--certs-path (%s) says where certificates are, --user (%s) whose", err, envCerts, envUser)
	}
	cfg, err := c.replicas.config(catalog.Users, c.port)
	if err != nil {
		return nil, fmt.Errorf("--control-service (%s): %w", envControl, err)
	}
	cfg.TLS = creds.Client()
	return client.New(cfg)
}

func (c *connection) complete(cmd *cobra.Command) error {
	if text := os.Getenv(envPort); text != "" && !cmd.Flags().Changed("control-port") {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("environment variable %s: %q is not a port", envPort, text)
		}
		c.port = uint16(port)
	}
	if c.control != "" {
		return c.replicas.UnmarshalText([]byte(c.control))
	}
	file := filepath.Join(c.certs, "agent.yml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{fmt.Errorf("which control service? Name its host with --control-service or %s", envControl)}
	}
	if err != nil {
		return fmt.Errorf("read the control service's name: %w", err)
	}
	var settings struct {
		Control controlAddress `yaml:"control-service"`
	}
	if err := yaml.Unmarshal(text, &settings); err != nil || len(settings.Control.Hostname) == 0 {
		return fmt.Errorf("%s does not name a control service; use --control-service or %s", file, envControl)
	}
	c.replicas = settings.Control.Hostname.withoutPorts()
	return nil
}
