package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// shortID is how much of an id a table shows, and what mostly suffices to find
// it again.
const shortID = 8

func short(id string) string { return id[:min(len(id), shortID)] }

// findDataset returns the dataset that a person means: by its name, else by its
// id or the beginning of that. A deleted one can only be meant by its id.
func findDataset(all []*api.DatasetDetail, text string) (*api.DatasetDetail, error) {
	for _, d := range all {
		if text != "" && !d.Dataset.Deleted && d.Dataset.Name() == text {
			return d, nil
		}
	}
	return unique("dataset", text, all, func(d *api.DatasetDetail) string { return string(d.Dataset.ID) })
}

// findNode returns the node that a person means: by its host name or address,
// else by its id or the beginning of that.
func findNode(all []*api.Node, text string) (*api.Node, error) {
	var named []*api.Node
	for _, n := range all {
		if n.Hostname == text || n.Address == text {
			named = append(named, n)
		}
	}
	if len(named) == 1 {
		return named[0], nil
	}
	if len(named) > 1 {
		return nil, fmt.Errorf("%d nodes are called %q; name it by its id: %s", len(named), text,
			texts(named, func(n *api.Node) string { return string(n.ID) }))
	}
	return unique("node", text, all, func(n *api.Node) string { return string(n.ID) })
}

// unique returns the one of all whose id begins with the text.
func unique[T any](what, text string, all []T, id func(T) string) (T, error) {
	var none T
	prefix := strings.ToLower(text)
	matching := slices.DeleteFunc(slices.Clone(all), func(x T) bool { return text == "" || !strings.HasPrefix(id(x), prefix) })
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return none, fmt.Errorf("there is no %s with the name or id %q", what, text)
	default:
		return none, fmt.Errorf("the id of more than one %s begins with %q: %s", what, text, texts(matching, id))
	}
}

func texts[T any](all []T, text func(T) string) string {
	parts := make([]string, len(all))
	for i, x := range all {
		parts[i] = text(x)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
