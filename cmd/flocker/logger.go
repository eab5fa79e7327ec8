package main

import (
	"io"
	"log/slog"

	"github.com/flocker-mesos/flocker/api"
)

// logSettings say what is logged, and how.
type logSettings struct {
	Level  slog.Level `yaml:"level"`
	Format string     `yaml:"format"`
}

// The formats of a log.
const (
	logText = "text"
	logJSON = "json"
)

func (s logSettings) validate() error {
	if s.Format != logText && s.Format != logJSON {
		return api.FieldErrorf("log.format", "%q is neither %s nor %s", s.Format, logText, logJSON)
	}
	return nil
}

func (s logSettings) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.Level}
	if s.Format == logJSON {
		return slog.New(slog.NewJSONHandler(api.PrintingJSON(w), options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
