package cli

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/contexts"
	"github.com/flocker-mesos/flocker/pki"
)

// Connection is how a command reaches the control service.
type Connection struct {
	env     *Env
	context string
	values  map[string]*string // that flags give, by the settings' keys
	flags   *pflag.FlagSet
	expires time.Time // of the certificate that was used
}

// The variables that are named in errors and elsewhere.
const (
	envControl = "FLOCKER_CONTROL_SERVICE"
	envPort    = "FLOCKER_CONTROL_PORT"
	envCerts   = "FLOCKER_CERTS_PATH"
	envUser    = "FLOCKER_USER"
	envContext = "FLOCKER_CONTEXT"
)

// option is a setting of a connection. The first of its variables that is set
// counts: ours and flockerctl's before those of Kubernetes' plugin.
type option struct {
	key       string // in contexts; the flag has the same name
	variables []string
	otherwise string
	usage     string
}

func options() []option {
	return []option{
		{
			"control-service", []string{envControl, "FLOCKER_CONTROL_SERVICE_HOST"}, "",
			"hosts of the control service, or consul://HOST:PORT/SERVICE (" + envControl + "), by default what agent.yml in the\n" +
				"directory of certificates says",
		},
		{
			"control-port", []string{envPort, "FLOCKER_CONTROL_SERVICE_PORT"}, client.UserPort,
			"port of its REST API (" + envPort + ")",
		},
		{
			"certs-path", []string{envCerts}, "/etc/flocker",
			"directory of cluster.crt and the user's certificate and key (" + envCerts + ")",
		},
		{"user", []string{envUser}, "user", "name of the user: USER.crt and USER.key (" + envUser + ")"},
		{"ca-file", []string{"FLOCKER_CONTROL_SERVICE_CA_FILE"}, "", "the authority's certificate, where it is elsewhere"},
		{"cert-file", []string{"FLOCKER_CONTROL_SERVICE_CLIENT_CERT_FILE"}, "", "the user's certificate, where it is elsewhere"},
		{"key-file", []string{"FLOCKER_CONTROL_SERVICE_CLIENT_KEY_FILE"}, "", "the user's key, where it is elsewhere"},
	}
}

// NewConnection makes a connection whose flags a command has.
func NewConnection(env *Env) *Connection {
	return &Connection{env: env, values: map[string]*string{}}
}

// AddFlags adds the flags to a command and those below it.
func (c *Connection) AddFlags(cmd *cobra.Command) {
	c.flags = cmd.PersistentFlags()
	c.flags.StringVar(&c.context, "context", "", "the cluster, by its name in flocker context list ("+envContext+")")
	c.addSettings()
	// It fails for a flag that there is not, and there is.
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts(c.env))
}

func (c *Connection) addSettings() {
	for _, o := range options() {
		usage := o.usage
		if o.otherwise != "" {
			usage += fmt.Sprintf(" (default %q)", o.otherwise)
		}
		c.values[o.key] = c.flags.String(o.key, "", usage)
	}
}

// Client connects as the user. The caller closes it.
func (c *Connection) Client() (*client.Client, error) {
	s, err := c.resolve()
	if err != nil {
		return nil, err
	}
	return c.dial(s)
}

func (c *Connection) dial(s settings) (*client.Client, error) {
	control, err := s.control()
	if err != nil {
		return nil, err
	}
	port, err := contexts.Port(s["control-port"].text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s["control-port"].origin, err)
	}
	files := pki.Paths{Authority: s["ca-file"].text, Cert: s["cert-file"].text, Key: s["key-file"].text}
	creds, err := pki.LoadFiles(files, slog.New(slog.DiscardHandler), pki.APIRoles()...)
	if err != nil {
		return nil, fmt.Errorf("%w\n--certs-path (%s) says where certificates are, --user (%s) whose; "+
			"`flocker context show` tells what holds", err, envCerts, envUser)
	}
	cfg, err := c.env.Locate(control.text, port)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", control.origin, err)
	}
	c.expires = creds.Expires()
	cfg.TLS = creds.Client()
	return client.New(cfg)
}
