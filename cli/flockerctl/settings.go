package flockerctl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/pki"
)

// settings say how the control service is reached.
type settings struct {
	program Program

	clusterFile, certs, user, authority, control, port string
}

// flagSet makes the options that stand before the command. Variables count as if
// they were given first.
func (s *settings) flagSet() *pflag.FlagSet {
	flags := newFlags()
	flags.SetInterspersed(false)
	env := func(variable, otherwise string) string {
		value, _ := s.program.LookupEnv(variable)
		return cmp.Or(value, otherwise)
	}
	flags.StringVar(&s.clusterFile, "cluster-yml", "./cluster.yml", "")
	flags.StringVar(&s.certs, "certs-path", env("FLOCKER_CERTS_PATH", "."), "")
	flags.StringVar(&s.user, "user", env("FLOCKER_USER", "user"), "")
	flags.StringVar(&s.authority, "cluster-crt", pki.AuthorityCert, "")
	flags.StringVar(&s.control, "control-service", env("FLOCKER_CONTROL_SERVICE", ""), "")
	flags.StringVar(&s.port, "control-port", client.UserPort, "")
	return flags
}

// client connects. The caller closes it.
func (s *settings) client(flags *pflag.FlagSet) (*client.Client, error) {
	if err := s.readCluster(flags); err != nil {
		return nil, err
	}
	if s.control == "" {
		replicas, err := s.program.AgentReplicas(filepath.Join(s.certs, "agent.yml"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("must specify --control-service")
		}
		if err != nil {
			return nil, err
		}
		s.control = replicas
	}
	port, err := strconv.ParseUint(s.port, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("--control-port: %q is not a port", s.port)
	}
	files := pki.PathsIn(s.certs, s.user)
	files.Authority = s.authority
	if !filepath.IsAbs(files.Authority) {
		files.Authority = filepath.Join(s.certs, s.authority)
	}
	creds, err := pki.LoadFiles(files, slog.New(slog.DiscardHandler), pki.APIRoles()...)
	if err != nil {
		return nil, fmt.Errorf("%w\n--certs-path says where certificates are, --user whose", err)
	}
	cfg, err := s.program.Locate(s.control, uint16(port))
	if err != nil {
		return nil, fmt.Errorf("--control-service: %w", err)
	}
	cfg.TLS = creds.Client()
	return client.New(cfg)
}

// readCluster takes from cluster.yml, which Flocker's installer wrote, what no
// option says: the user, whose files are beside it, and the control service.
func (s *settings) readCluster(flags *pflag.FlagSet) error {
	text, err := os.ReadFile(s.clusterFile)
	if errors.Is(err, fs.ErrNotExist) {
		if flags.Changed("cluster-yml") {
			return fmt.Errorf("--cluster-yml: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read cluster: %w", err)
	}
	var cluster struct {
		Users   []string `yaml:"users"`
		Control string   `yaml:"control_node"`
	}
	if err := yaml.Unmarshal(text, &cluster); err != nil {
		return fmt.Errorf("read cluster %s: %w", s.clusterFile, err)
	}
	if len(cluster.Users) > 0 && !flags.Changed("user") {
		s.user = cluster.Users[0]
	}
	if !flags.Changed("certs-path") {
		s.certs = filepath.Dir(s.clusterFile)
	}
	s.control = cmp.Or(s.control, cluster.Control)
	return nil
}
