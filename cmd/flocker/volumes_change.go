package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func newVolumesCreate(c *connection) *cobra.Command {
	var (
		name, size, node, profile string
		metadata                  []string
		wait                      waiting
	)
	cmd := &cobra.Command{
		Use:   "create --name NAME --node NODE",
		Short: "Create a volume, and mount it on a node",
		Long: "Creates a volume and mounts it on a node, where it stays until it is moved or another node's\n" +
			"container asks for it. Labelled apps need none of this: their volumes are made when they start.",
		Example: "  flocker volumes create --name orders-db --size 20GiB --node node1 --wait 30s",
		Args:    takes(cobra.NoArgs, "nothing but flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, err := createRequest(name, size, profile, metadata)
			if err != nil {
				return err
			}
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			if req.Primary, err = nodeID(cmd, cl, node); err != nil {
				return err
			}
			d, err := cl.Create(cmd.Context(), req, "")
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Created %s.\n", d.ID)
			return wait.until(cmd, cl, d.ID, func(d *api.DatasetDetail) bool { return d.Status == string(cluster.StatusMounted) })
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&name, "name", "n", "", "its name, unique in the cluster")
	flags.StringVarP(&size, "size", "s", "", "its size, such as 20GiB; the default is the control service's")
	flags.StringVar(&node, "node", "", "the node to mount it on")
	flags.StringVar(&profile, "profile", "", "the storage system's type of volume")
	flags.StringSliceVarP(&metadata, "metadata", "m", nil, "further KEY=VALUE, several with commas")
	wait.add(cmd, "mounted")
	return cmd
}

func createRequest(name, size, profile string, metadata []string) (client.CreateRequest, error) {
	req := client.CreateRequest{Metadata: map[string]string{}}
	for _, entry := range metadata {
		key, value, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return req, &usageError{fmt.Errorf("--metadata %q: want KEY=VALUE, several with commas", entry)}
		}
		req.Metadata[key] = value
	}
	if name == "" {
		return req, &usageError{fmt.Errorf("--name is missing: a volume without a name can't be asked for by labels")}
	}
	req.Metadata[api.MetadataName] = name
	if profile != "" {
		req.Metadata[api.MetadataProfile] = profile
	}
	if size != "" {
		bytes, err := api.ParseSize(size)
		if err != nil {
			return req, &usageError{fmt.Errorf("--size: %w", err)}
		}
		req.MaximumSize = bytes
	}
	return req, nil
}

func newVolumesMove(c *connection) *cobra.Command {
	var (
		to   string
		wait waiting
	)
	cmd := &cobra.Command{
		Use:   "move VOLUME --to NODE",
		Short: "Move a volume to another node, when nothing uses it any more where it is",
		Args:  takes(cobra.ExactArgs(1), "a volume's name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			d, err := datasetNamed(cmd, cl, args[0])
			if err != nil {
				return err
			}
			node, err := nodeID(cmd, cl, to)
			if err != nil {
				return err
			}
			if _, err := cl.Move(cmd.Context(), d.Dataset.ID, node, ""); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Moving %s.\n", d.Dataset.ID)
			return wait.until(cmd, cl, d.Dataset.ID, func(d *api.DatasetDetail) bool {
				return d.Dataset.HeldBy(node) && d.Status == string(cluster.StatusMounted)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the node to move it to")
	wait.add(cmd, "mounted there")
	return cmd
}

func newVolumesDestroy(c *connection) *cobra.Command {
	var wait waiting
	cmd := &cobra.Command{
		Use:   "destroy VOLUME",
		Short: "Destroy a volume and all data on it, when nothing uses it any more",
		Args:  takes(cobra.ExactArgs(1), "a volume's name or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(cmd)
			if err != nil {
				return err
			}
			defer cl.Close()
			d, err := datasetNamed(cmd, cl, args[0])
			if err != nil {
				return err
			}
			if _, err := cl.Delete(cmd.Context(), d.Dataset.ID, ""); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Destroying %s.\n", d.Dataset.ID)
			return wait.until(cmd, cl, d.Dataset.ID, func(d *api.DatasetDetail) bool { return d.Dataset.Destroyed })
		},
	}
	wait.add(cmd, "destroyed")
	return cmd
}

func datasetNamed(cmd *cobra.Command, cl *client.Client, text string) (*api.DatasetDetail, error) {
	all, err := cl.Volumes(cmd.Context(), api.VolumeQuery{Gone: true})
	if err != nil {
		return nil, err
	}
	return findDataset(all, text)
}

func nodeID(cmd *cobra.Command, cl *client.Client, text string) (api.NodeID, error) {
	nodes, err := cl.Nodes(cmd.Context())
	if err != nil {
		return "", err
	}
	if text == "" {
		return "", &usageError{fmt.Errorf("which node? There are: %s", texts(nodes, (*api.Node).Name))}
	}
	n, err := findNode(nodes, text)
	if err != nil {
		return "", err
	}
	return n.ID, nil
}
