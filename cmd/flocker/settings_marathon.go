package main

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/marathon/client"
	"github.com/flocker-mesos/flocker/marathon/follow"
)

// marathonSettings say which Marathon is followed, and as whom.
type marathonSettings struct {
	URLs           replicas      `yaml:"marathon"`
	User           string        `yaml:"marathon-user"`
	PasswordFile   string        `yaml:"marathon-password-file"`
	CAFile         string        `yaml:"marathon-ca-file"`
	CertFile       string        `yaml:"marathon-cert-file"`
	KeyFile        string        `yaml:"marathon-key-file"`
	TokenFile      string        `yaml:"marathon-token-file"`
	ServiceAccount string        `yaml:"marathon-service-account-file"`
	Login          string        `yaml:"marathon-login"`
	MakeAhead      bool          `yaml:"marathon-make-ahead"`
	Grace          time.Duration `yaml:"reclaim-grace"`
}

func (s *marathonSettings) client() client.Config {
	return client.Config{
		URLs: s.URLs, User: s.User, PasswordFile: s.PasswordFile, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile,
		TokenFile: s.TokenFile, ServiceAccountFile: s.ServiceAccount, Login: s.Login,
	}
}

func (s *marathonSettings) validate() error {
	if s.Grace < time.Second || s.Grace > api.MaxGrace {
		return api.FieldErrorf("reclaim-grace", "%s is not between 1s and %s", s.Grace, api.MaxGrace)
	}
	if len(s.URLs) == 0 {
		return nil
	}
	cfg := s.client()
	return cfg.Validate()
}

// following returns what follows Marathon for a control service, nil where there
// is none to follow.
func (s *marathonSettings) following(service *control.Service, log *slog.Logger) (func(context.Context) error, error) {
	if len(s.URLs) == 0 {
		return nil, nil
	}
	c, err := client.New(s.client())
	if err != nil {
		return nil, err
	}
	cfg := follow.DefaultConfig()
	cfg.Grace = s.Grace
	f, err := follow.New(cfg, c, service.Marathon(), log, service.Registry())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer c.Close()
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return f.Run(ctx) })
		if s.MakeAhead {
			group.Go(func() error { return service.Marathon().MakeAhead(ctx) })
		}
		return group.Wait()
	}, nil
}
