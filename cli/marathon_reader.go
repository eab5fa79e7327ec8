package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/marathon/check"
	"github.com/flocker-mesos/flocker/marathon/client"
)

// marathonReader is what is asked of Marathon to check what runs.
type marathonReader interface {
	// Definitions returns the apps and pods that run, each as it was given.
	Definitions(ctx context.Context) ([]json.RawMessage, error)
	Info(ctx context.Context) (*client.Info, error)
}

// marathonFlags say which Marathon is asked, and as whom. They are called as the
// settings of the control service.
type marathonFlags struct{ client.Config }

// envMarathon names Marathon where the flag does not, as for the control service.
const envMarathon = "FLOCKER_MARATHON"

func (m *marathonFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&m.URLs, "marathon", nil, "URLs of Marathon, for what runs now ("+envMarathon+")")
	for name, f := range map[string]struct {
		value *string
		usage string
	}{
		"marathon-user":                 {&m.User, "user name for Marathon, with a password"},
		"marathon-password-file":        {&m.PasswordFile, "file with the password"},
		"marathon-token-file":           {&m.TokenFile, "file with a token of DC/OS"},
		"marathon-service-account-file": {&m.ServiceAccountFile, "file with the secret of a service account of DC/OS"},
		"marathon-login":                {&m.Login, "URL of DC/OS' login, where it is elsewhere"},
		"marathon-ca-file":              {&m.CAFile, "authorities of Marathon's certificate"},
		"marathon-cert-file":            {&m.CertFile, "certificate for Marathon"},
		"marathon-key-file":             {&m.KeyFile, "its key"},
	} {
		flags.StringVar(f.value, name, "", f.usage)
	}
}

// named reports whether a Marathon is named.
func (m *marathonFlags) named() bool { return len(m.URLs) > 0 }

// client returns a client, which the caller closes.
func (m *marathonFlags) client() (*client.Client, error) {
	if err := m.Validate(); err != nil {
		return nil, usage.Errorf("--%w", err)
	}
	return client.New(m.Config)
}

// readMarathon notes what Marathon runs and how it is set. Each app is a document of
// its own, in no file.
func readMarathon(ctx context.Context, m marathonReader, world *check.Context) ([]*check.Document, error) {
	all, err := m.Definitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Marathon what runs: %w", err)
	}
	var documents []*check.Document
	for _, text := range all {
		d, err := check.Parse("", text)
		if err != nil {
			return nil, fmt.Errorf("read what Marathon runs: %w", err)
		}
		documents = append(documents, d)
		world.Running = append(world.Running, d.Definitions...)
	}
	info, err := m.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Marathon how it is set: %w", err)
	}
	world.Features = info.Config.Features
	if world.Timeouts.TaskLaunch == 0 {
		world.Timeouts.TaskLaunch = time.Duration(info.Config.TaskLaunchTimeout) * time.Millisecond
	}
	return documents, nil
}
