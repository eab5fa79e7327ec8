package main

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestFindDatasetByNameOrBeginningOfItsID(t *testing.T) {
	detail := func(id, name string, deleted bool) *api.DatasetDetail {
		return &api.DatasetDetail{Dataset: &api.Dataset{
			ID: api.DatasetID(id), Metadata: map[string]string{"name": name}, Deleted: deleted,
		}}
	}
	all := []*api.DatasetDetail{
		detail("aaaa1111", "old", true), detail("aaaa2222", "old", false), detail("bbbb1111", "", false), detail("cccc", "bbbb", false),
	}
	for text, want := range map[string]string{
		"old": "aaaa2222", "aaaa1": "aaaa1111", "BBBB1": "bbbb1111", "bbbb": "cccc",
		"aaaa": "more than one dataset", "dddd": "no dataset with the name or id", "": "no dataset",
	} {
		got, err := findDataset(all, text)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", text, err, want)
			}
			continue
		}
		if string(got.Dataset.ID) != want {
			t.Errorf("%q: got %s, want %s", text, got.Dataset.ID, want)
		}
	}
}

func TestFindNodeByHostNameAddressOrBeginningOfItsID(t *testing.T) {
	all := []*api.Node{
		{ID: "aaaa", Hostname: "n1", Address: "10.0.0.1"}, {ID: "aabb", Hostname: "n2", Address: "10.0.0.2"},
		{ID: "cccc", Hostname: "twin"}, {ID: "dddd", Hostname: "twin"},
	}
	for text, want := range map[string]string{
		"n1": "aaaa", "10.0.0.2": "aabb", "aab": "aabb", "aa": "aaaa, aabb", "twin": "2 nodes are called", "x": "no node",
	} {
		got, err := findNode(all, text)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", text, err, want)
			}
			continue
		}
		if string(got.ID) != want {
			t.Errorf("%q: got %s, want %s", text, got.ID, want)
		}
	}
}
