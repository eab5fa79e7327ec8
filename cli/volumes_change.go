package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

func newVolumesCreate(g *group) *cobra.Command {
	var (
		p                         output.Printer
		name, size, node, profile string
		user, permissions, owner  string
		metadata                  []string
		wait                      waiting
	)
	cmd := &cobra.Command{
		Use:   "create --name NAME --node NODE",
		Short: "Create a volume, and mount it on a node",
		Long: "Creates a volume and mounts it on a node, where it stays until it is moved or another node's\n" +
			"container asks for it. Labelled apps need none of this: their volumes are made when they start.",
		Example:           "  flocker volumes create --name orders-db --size 20GiB --node node1 --wait",
		Args:              createTakes,
		ValidArgsFunction: cobra.NoFileCompletions,
		PreRunE:           wait.check,
		RunE: g.run(&p, func(s *session, _ []string) error {
			req, err := createRequest(name, size, profile, metadata)
			if err != nil {
				return err
			}
			if err := setOwner(&req, user, permissions); err != nil {
				return err
			}
			if owner != "" {
				if req.Owner, err = api.ReadOwner(owner); err != nil {
					return usage.Errorf("--owner: %w", err)
				}
			}
			n, err := s.nodeOf("node", node)
			if err != nil {
				return err
			}
			req.Primary = n.ID
			d, err := s.Create(s.ctx, req, "")
			if err != nil {
				return err
			}
			s.tell("Created %s.", d.ID)
			return s.outcome(d.ID, name, &wait, mountedOn(n))
		}),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&name, "name", "n", "", "its name, unique in the cluster")
	flags.StringVarP(&size, "size", "s", "", "its size, such as 20GiB; the default is the control service's")
	flags.StringVar(&node, "node", "", "the node to mount it on")
	flags.StringVar(&profile, "profile", "", "the storage system's type of volume")
	flags.StringVar(&user, "user", "", "the owner of its root directory, as uid or uid:gid; the default is the user of its first container")
	flags.StringVar(&permissions, "permissions", "", "the mode of its root directory, such as 0750; the default is 0755 with an owner, else 0777")
	flags.StringVar(&owner, "owner", "", "the volume's owner, such as role:postgres or '*'; the default is you")
	flags.StringSliceVarP(&metadata, "metadata", "m", nil, "further KEY=VALUE, several with commas")
	addOutput(cmd, p.AddFlags)
	wait.addFlags(flags, "mounted")
	completeFlags(cmd, map[string]cobra.CompletionFunc{"node": g.completeNode, "owner": g.completeOwner})
	return cmd
}

// createTakes refuses arguments. A single one is probably the volume's name: the error
// says how to give it.
func createTakes(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && !cmd.Flags().Changed("name") {
		return usage.Errorf("%s: expected no arguments, got %q: the name of a volume is given as --name %[2]s", cmd.CommandPath(), args[0])
	}
	return usage.Takes(cobra.NoArgs, "no arguments")(cmd, args)
}

func createRequest(name, size, profile string, metadata []string) (client.CreateRequest, error) {
	var req client.CreateRequest
	var err error
	if req.Metadata, err = pairs(metadata); err != nil {
		return req, err
	}
	if name == "" {
		return req, usage.Errorf("--name is missing: a volume without a name can't be asked for by labels")
	}
	req.Metadata[api.MetadataName] = name
	if profile != "" {
		req.Metadata[api.MetadataProfile] = profile
	}
	if size != "" {
		if req.MaximumSize, err = api.ParseSize(size); err != nil {
			return req, usage.Errorf("--size: %w", err)
		}
	}
	return req, nil
}

// setOwner puts the volume's owner, mode and options into a request.
func setOwner(req *client.CreateRequest, user, permissions string) error {
	if user != "" {
		uid, gid, err := api.ParseOwner(user)
		if err != nil {
			return usage.Errorf("--user: %w", err)
		}
		req.User = api.FormatOwner(uid, gid)
	}
	if permissions != "" {
		mode, err := api.ParsePermissions(permissions)
		if err != nil {
			return usage.Errorf("--permissions: %w", err)
		}
		req.Permissions = api.FormatPermissions(mode)
	}
	return nil
}

func newVolumesMove(g *group) *cobra.Command {
	var (
		p    output.Printer
		to   string
		wait waiting
	)
	cmd := &cobra.Command{
		Use:               "move VOLUME... --to NODE",
		Short:             "Move volumes to another node, as soon as nothing uses them where they are",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		PreRunE:           wait.check,
		RunE: g.run(&p, func(s *session, args []string) error {
			n, err := s.nodeOf("to", to)
			if err != nil {
				return err
			}
			all, err := s.volumesNamed(args)
			if err != nil {
				return err
			}
			moving, failed := s.each(all, func(d *api.DatasetDetail) (*api.DatasetDetail, error) {
				if _, err := s.Move(s.ctx, d.Dataset.ID, n.ID, ""); err != nil {
					return nil, err
				}
				s.tell("Moving %s to %s.", volumeName(d), n.Name())
				return d, nil
			})
			return errors.Join(failed, s.outcomes(moving, len(args) > 1, &wait, mountedOn(n), volumeName))
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", "the node to move it to")
	addOutput(cmd, p.AddFlags)
	wait.addFlags(flags, "mounted there")
	completeFlags(cmd, map[string]cobra.CompletionFunc{"to": g.completeNode})
	return cmd
}

func newVolumesGrow(g *group) *cobra.Command {
	var (
		p    output.Printer
		wait waiting
	)
	cmd := &cobra.Command{
		Use:        "grow VOLUME SIZE",
		Aliases:    []string{"resize"},
		SuggestFor: []string{"extend", "expand"},
		Short:      "Make a volume larger, while it is in use",
		Long: "Makes a volume larger, up to the size that is given, such as 40GiB. It is done while the volume is in use,\n" +
			"or else when it is mounted the next time. A volume never becomes smaller.",
		Example:           "  flocker volumes grow orders-db 40GiB --wait",
		Args:              usage.Takes(cobra.ExactArgs(2), "a volume and its new size"),
		ValidArgsFunction: first(g.completeVolume),
		PreRunE:           wait.check,
		RunE: g.run(&p, func(s *session, args []string) error {
			size, err := api.ParseSize(args[1])
			if err != nil {
				return usage.Errorf("SIZE: %w", err)
			}
			d, err := s.volume(args[0])
			if err != nil {
				return err
			}
			if size < d.Dataset.Size {
				return fmt.Errorf("SIZE %s: %s has %s, and a volume never becomes smaller",
					api.FormatSize(size), volumeName(d), api.FormatSize(d.Dataset.Size))
			}
			if _, err := s.ChangeVolume(s.ctx, ref(d.Dataset.ID), api.VolumeChange{Size: size}, ""); err != nil {
				return err
			}
			s.tell("Growing %s to %s.", volumeName(d), api.FormatSize(size))
			return s.outcome(d.Dataset.ID, volumeName(d), &wait, grown())
		}),
	}
	addOutput(cmd, p.AddFlags)
	wait.addFlags(cmd.Flags(), "as large as that")
	return cmd
}

func newVolumesChange(g *group) *cobra.Command {
	var (
		p                output.Printer
		name             string
		metadata, remove []string
	)
	cmd := &cobra.Command{
		Use:        "change VOLUME",
		SuggestFor: []string{"rename", "update", "set", "edit"},
		Short:      "Change a volume's name, and what is noted with it",
		Example: "  flocker volumes change orders-db --metadata team=shop,tier=1 --remove owner\n" +
			"  flocker volumes change orders-db --name orders-db-old",
		Args:              usage.Takes(cobra.ExactArgs(1), "one volume"),
		ValidArgsFunction: first(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			change, err := metadataChange(name, metadata, remove)
			if err != nil {
				return err
			}
			d, err := s.volume(args[0])
			if err != nil {
				return err
			}
			changed, err := s.ChangeVolume(s.ctx, ref(d.Dataset.ID), change, "")
			if err != nil {
				return err
			}
			s.tell("Changed %s.", volumeName(changed))
			if s.Machine() {
				return s.showVolume(changed)
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&metadata, "metadata", "m", nil, "note KEY=VALUE with it, several with commas")
	flags.StringSliceVar(&remove, "remove", nil, "forget a KEY that is noted with it, several with commas")
	flags.StringVarP(&name, "name", "n", "", "its new name, unique in the cluster")
	addOutput(cmd, p.AddFlags)
	return cmd
}

func metadataChange(name string, metadata, remove []string) (api.VolumeChange, error) {
	var change api.VolumeChange
	set, err := pairs(metadata)
	if err != nil {
		return change, err
	}
	if name != "" {
		set[api.MetadataName] = name
	}
	if len(set)+len(remove) == 0 {
		return change, usage.Errorf("what should change? Say so with --name, --metadata or --remove; `flocker volumes grow` changes the size")
	}
	change.Metadata = map[string]*string{}
	for key, value := range set {
		if slices.Contains(remove, key) {
			return change, usage.Errorf("--remove %s: it is given a new value as well", key)
		}
		change.Metadata[key] = &value
	}
	for _, key := range remove {
		change.Metadata[key] = nil
	}
	return change, nil
}
