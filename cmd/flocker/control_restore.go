package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/usage"
	"github.com/flocker-mesos/flocker/control"
	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/pki"
)

func newControlRestore() *cobra.Command {
	var replace, dryRun bool
	var ask confirm.Prompt
	settings := defaultControlSettings()
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the records of a backup into an empty log",
		Long: "Puts the records that flocker control backup wrote to a file, - for the standard input,\n" +
			"into the log that the settings name. Stop all control services that use it first; agents\n" +
			"and containers may go on running.\n\n" +
			"The file is checked as a whole before anything is changed. The log must be empty, unless\n" +
			"--replace is given. If the command does not come to its end, no control service takes what\n" +
			"there is for a log; run it again.\n\n" +
			"Datasets that were made after the backup are not in it. Their volumes stay in the storage\n" +
			"system as orphans, and apps that ask for one wait until it is adopted: see\n" +
			"flocker backends orphans and flocker volumes adopt.",
		Args: usage.Takes(cobra.ExactArgs(1), "one file to read"),
	}
	load := logSettingsFlags(cmd, settings, "config", "store", "certificates")
	cmd.Flags().BoolVar(&replace, "replace", false, "put it in the place of what the log has, or of one that is gone or damaged")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check the file, say what is there and what would be done, and do nothing")
	ask.AddFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := load(); err != nil {
			return err
		}
		b, err := readBackup(cmd, args[0])
		if err != nil {
			return fmt.Errorf("%s: %w. Nothing was changed", args[0], err)
		}
		// A log that is replaced on purpose is given up by the replicas and agents that know it.
		found, err := control.IdentityOf(cmd.Context(), settings.Control)
		if err != nil || !replace {
			found.ID = "" // it cannot be read, or must be empty
		}
		r, err := control.FromBackup(b, time.Now().UTC(), found.ID)
		if err != nil {
			return fmt.Errorf("%s: %w. Nothing was changed", args[0], err)
		}
		if err := checkCluster(settings.Control, r.Cluster); err != nil {
			return err
		}
		fmt.Fprintf(api.Printing(cmd.OutOrStdout()), "The backup of cluster %s was taken at %s\nfrom %s, at revision %d. It has %s.\n",
			r.Cluster, b.Taken.Format(time.RFC3339), b.Log, b.Revision, counts(r))
		return fill(cmd, settings.Control, r, filling{replace: replace, dryRun: dryRun, ask: &ask, remedy: "With --replace the backup takes its place, and it %s"})
	}
	return cmd
}

func counts(r control.Restorable) string {
	return fmt.Sprintf("datasets: %d, deleted ones: %d, nodes: %d, leases: %d", r.Datasets, r.Deleted, r.Nodes, r.Leases)
}

func readBackup(cmd *cobra.Command, path string) (backup.Backup, error) {
	text, err := openInput(cmd, path)
	if err != nil {
		return backup.Backup{}, err
	}
	defer func() { _ = text.Close() }()
	return backup.Read(text)
}

// openInput opens a file, or the standard input for -.
func openInput(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return f, nil
}

// checkCluster refuses records of another cluster than that of the certificates
// here, if there are any: the service that uses them would refuse the log.
func checkCluster(cfg control.Config, cluster string) error {
	if _, err := os.Stat(filepath.Join(cfg.Certificates, pki.ControlName+".crt")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ours, err := clusterOf(cfg)
	switch {
	case err != nil:
		return err
	case ours != cluster:
		return fmt.Errorf("the backup is of the cluster %s, and the certificates in %s are of the cluster %s: "+
			"use the certificates of the one or the backup of the other. Nothing was changed", cluster, cfg.Certificates, ours)
	}
	return nil
}

// clusterOf returns the UUID of the cluster that the control service's
// certificate is of.
func clusterOf(cfg control.Config) (string, error) {
	creds, err := pki.Load(cfg.Certificates, pki.ControlName, pki.RoleControl, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	_, _, cluster := creds.Identity()
	return cluster, nil
}

// filling is how a log is filled.
type filling struct {
	replace, dryRun bool
	ask             *confirm.Prompt // before a log is replaced
	// remedy says what can be done about a log that is not empty; %s in it is
	// what becomes of that.
	remedy string
}

// fill puts records into the log, after saying what becomes of what is there.
func fill(cmd *cobra.Command, cfg control.Config, r control.Restorable, how filling) (err error) {
	restorer, err := control.OpenRestorer(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restorer.Close()) }()
	remains, err := restorer.Remains(cmd.Context())
	if err != nil {
		return err
	}
	name, out := restorer.Name(), api.Printing(cmd.OutOrStdout())
	switch {
	case remains.Empty:
	case how.replace:
		fmt.Fprintf(out, "%s has %s. That %s.\n", name, remains.What, remains.Becomes)
	default:
		return fmt.Errorf("%w: %s has %s. %s. Nothing was changed", store.ErrNotEmpty, name, remains.What,
			strings.ReplaceAll(how.remedy, "%s", remains.Becomes))
	}
	if how.dryRun {
		fmt.Fprintf(out, "Nothing was done, as --dry-run asks. Else %d records would be put into %s.\n", len(r.Snapshot.Records), name)
		return nil
	}
	if !remains.Empty {
		if err := sure(cmd, how.ask, fmt.Sprintf("The backup takes the place of what %s has.", name)); err != nil {
			return err
		}
	}
	// A restore that has begun is brought to its end: half of it is of no use.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), fillTimeout)
	defer cancel()
	switch err := restorer.Restore(ctx, r.Snapshot, how.replace); {
	case errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrNotEmpty):
		return err
	case err != nil:
		return fmt.Errorf("%w. The log may be in part restored, which no control service takes for a log: run this again", err)
	}
	fmt.Fprintf(out, "Put %d records into %s, which begins at revision %d.\nNow start the control service.\n",
		len(r.Snapshot.Records), name, r.Snapshot.Revision)
	return nil
}

// fillTimeout bounds how long a log is filled: a large one takes a minute.
const fillTimeout = time.Hour
