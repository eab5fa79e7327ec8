package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/backup"
)

func newControlBackup() *cobra.Command {
	c := cli.NewConnection(userEnv())
	var fromService bool
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all records of the cluster to a file, - for the standard output",
		Long: "Writes all records of the cluster, as of one moment, to a file that people can read and\n" +
			"that flocker control restore puts into an empty log of any kind. A file of that name is\n" +
			"replaced once the new one is whole.\n\n" +
			"By default the log that the settings name is read: one in Consul at any time, one in a\n" +
			"file only while no control service runs on it. With --from-service a running service is\n" +
			"asked for its records, as a user, from any machine.",
		Args: usage.Takes(cobra.ExactArgs(1), "one file to write"),
	}
	load := logSettingsFlags(cmd, settings, "config", "store")
	cmd.Flags().BoolVar(&fromService, "from-service", false, "ask the running control service, with the settings below")
	c.AddFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var b backup.Backup
		var err error
		if fromService {
			b, err = backupOfService(cmd, c)
		} else {
			if _, err = load(); err != nil {
				return err
			}
			b, err = backupOfLog(cmd, settings.Control)
		}
		if err != nil {
			return err
		}
		if args[0] == "-" {
			return backup.Write(cmd.OutOrStdout(), b)
		}
		if err := replaceFile(args[0], func(w io.Writer) error { return backup.Write(w, b) }); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Wrote %d records of cluster %s as of revision %d to %s.\n", len(b.Records), b.Cluster, b.Revision, args[0])
		return nil
	}
	return cmd
}

func backupOfService(cmd *cobra.Command, c *cli.Connection) (backup.Backup, error) {
	client, err := c.Client()
	if err != nil {
		return backup.Backup{}, err
	}
	defer client.Close()
	body, err := client.Backup(cmd.Context())
	if err != nil {
		return backup.Backup{}, err
	}
	defer body.Close()
	return backup.Read(body)
}

func backupOfLog(cmd *cobra.Command, cfg control.Config) (b backup.Backup, err error) {
	log, err := control.OpenExisting(cfg)
	if err != nil {
		return backup.Backup{}, err
	}
	defer func() { _ = log.Close() }() // it was only read
	return control.TakeBackup(cmd.Context(), log, version, time.Now())
}

// replaceFile writes a file, whole or not at all, that only its owner can read.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("put file in its place: %w", err)
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("flush directory: %w", err)
	}
	return nil
}
