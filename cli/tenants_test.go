package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestTenancySaysWhatOwnersRefuses(t *testing.T) {
	losing := []api.ForeignUse{{Name: "orders-db", Owner: "role:postgres", By: "role:web", App: "/shop"}}
	for name, test := range map[string]struct {
		view api.TenancyView
		want string
	}{
		"shared, none": {api.TenancyView{Tenancy: api.TenancyShared}, "No volume is used by an owner that may not use it."},
		"owners, none": {api.TenancyView{Tenancy: api.TenancyOwners}, "No volume is used by an owner that may not use it."},
		"shared":       {api.TenancyView{Tenancy: api.TenancyShared, Losing: losing}, "With the tenancy owners, these uses would end with their containers"},
		"owners":       {api.TenancyView{Tenancy: api.TenancyOwners, Losing: losing}, "These uses end with their containers, and new ones are refused."},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.Answer("GET /v1/tenancy", http.StatusOK, test.view)
			out, errs, err := c.run(t, "tenancy")
			if err != nil {
				t.Fatalf("%v: %s", err, errs)
			}
			if got := strings.Join(strings.Fields(out), " "); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want it to have %q", got, test.want)
			}
			if strings.Contains(out, "orders-db") != (len(test.view.Losing) > 0) {
				t.Errorf("the uses are not listed: %s", out)
			}
		})
	}
}

func TestAdoptAllSaysThatThereAreNoOrphans(t *testing.T) {
	c := newCluster(t)
	c.Answer("GET /v1/orphans", http.StatusOK, []api.Orphan{})
	if out, errs, err := c.run(t, "volumes", "adopt", "--all"); err != nil || out != "There are no orphan volumes.\n" {
		t.Errorf("got %q, %v: %s", out, err, errs)
	}
	if out, errs, err := c.run(t, "volumes", "adopt", "--all", "-o", "json"); err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("got %q, %v: %s", out, err, errs)
	}
}
