package flockerctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/output"
)

func listNodes() command {
	flags := newFlags()
	long := flags.BoolP("long", "l", false, "")
	return command{flags: flags, help: helpListNodes, run: func(ctx context.Context, cl *client.Client, out io.Writer) error {
		nodes, err := nodesOf(ctx, cl)
		if err != nil {
			return err
		}
		rows := [][]string{{"SERVER", "ADDRESS"}}
		for _, n := range nodes {
			rows = append(rows, []string{idText(n.ID, *long), n.Host})
		}
		printTable(out, rows)
		return nil
	}}
}

func list() command {
	flags := newFlags()
	deleted := flags.BoolP("deleted", "d", false, "")
	long := flags.BoolP("long", "l", false, "")
	flags.BoolP("human", "h", false, "")
	return command{flags: flags, help: helpList, run: func(ctx context.Context, cl *client.Client, out io.Writer) error {
		datasets, err := datasetsOf(ctx, cl)
		if err != nil {
			return err
		}
		states, err := cl.DatasetStates(ctx)
		if err != nil {
			return err
		}
		nodes, err := nodesOf(ctx, cl)
		if err != nil {
			return err
		}
		rows := [][]string{{"DATASET", "SIZE", "METADATA", "STATUS", "SERVER"}}
		for _, d := range datasets {
			status := statusOf(d, states, nodes)
			if status == statusDeleted && !*deleted {
				continue
			}
			rows = append(rows, []string{string(d.ID), sizeText(d.MaximumSize), output.Pairs(d.Metadata), status, serverText(d.Primary, nodes, *long)})
		}
		printTable(out, rows)
		return nil
	}}
}

// How datasets are.
const (
	statusAttached = "attached ✅"
	statusDetached = "detached"
	statusPending  = "pending ⌛"
	statusDeleting = "deleting"
	statusDeleted  = "deleted"
)

// statusOf says how a dataset is. A state may be there twice while the dataset is
// on its way; the one that is mounted counts.
func statusOf(d client.Dataset, states []client.DatasetState, nodes []client.NodeState) string {
	there, mounted := false, false
	for _, s := range states {
		if s.ID == d.ID {
			there = true
			mounted = mounted || nodeWith(nodes, s.Primary) != nil
		}
	}
	switch {
	case d.Deleted && there:
		return statusDeleting
	case d.Deleted:
		return statusDeleted
	case mounted:
		return statusAttached
	case there:
		return statusDetached
	default:
		return statusPending
	}
}

func nodeWith(nodes []client.NodeState, id api.NodeID) *client.NodeState {
	for i := range nodes {
		if nodes[i].ID == id {
			return &nodes[i]
		}
	}
	return nil
}

const gib = 1 << 30

func sizeText(bytes int64) string {
	if bytes == 0 {
		return "<no quota>"
	}
	return fmt.Sprintf("%.2fG", float64(bytes)/gib)
}

func serverText(id api.NodeID, nodes []client.NodeState, long bool) string {
	n := nodeWith(nodes, id)
	if n == nil {
		return "<missing>"
	}
	return fmt.Sprintf("%s (%s)", idText(id, long), n.Host)
}

func idText(id api.NodeID, long bool) string {
	if long {
		return string(id)
	}
	return output.Short(string(id))
}

// datasetsOf returns all datasets in the order of their ids.
func datasetsOf(ctx context.Context, cl *client.Client) ([]client.Dataset, error) {
	datasets, _, err := cl.Datasets(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(datasets, func(a, b client.Dataset) int { return cmp.Compare(a.ID, b.ID) })
	return datasets, nil
}

// nodesOf returns all nodes in the order of their ids.
func nodesOf(ctx context.Context, cl *client.Client) ([]client.NodeState, error) {
	nodes, err := cl.NodeStates(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b client.NodeState) int { return cmp.Compare(a.ID, b.ID) })
	return nodes, nil
}

// findNode returns the node whose id begins with a text.
func findNode(ctx context.Context, cl *client.Client, text string) (api.NodeID, error) {
	nodes, err := nodesOf(ctx, cl)
	if err != nil {
		return "", err
	}
	var ids []api.NodeID
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return unique("node", text, ids)
}

// findDataset returns the dataset whose id begins with a text. One that is
// deleted is meant only where no other can be: there it is said by the control
// service what is wrong.
func findDataset(ctx context.Context, cl *client.Client, text string) (api.DatasetID, error) {
	datasets, err := datasetsOf(ctx, cl)
	if err != nil {
		return "", err
	}
	var live, all []api.DatasetID
	for _, d := range datasets {
		all = append(all, d.ID)
		if !d.Deleted {
			live = append(live, d.ID)
		}
	}
	if id, err := unique("dataset", text, live); err == nil {
		return id, nil
	}
	return unique("dataset", text, all)
}

func unique[T ~string](what, text string, ids []T) (T, error) {
	var found []T
	for _, id := range ids {
		if strings.HasPrefix(string(id), strings.ToLower(text)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no %s uuids matching %s", what, text)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s is ambiguous %s", text, what)
}
