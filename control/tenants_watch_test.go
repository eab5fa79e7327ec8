package control_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// A tenant is told of what it may use, of when that begins and ends, and of nothing
// else, whatever happens to what is another one's.
func TestTenantsWatchTheirOwn(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	alice, operator := w.as("tenant-alice"), w.as("user-root")
	create := func(c *client.Client, name string, owner api.Owner) api.DatasetID {
		t.Helper()
		d, err := c.Create(ctx, client.CreateRequest{Primary: nodeA, Metadata: map[string]string{"name": name}, Owner: owner}, "")
		if err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := create(alice, "secret", "")
	must(alice.AcquireLease(ctx, secret, nodeA, 0))
	bob := w.watchingAs("tenant-bob", "", "")
	// until reads up to an event, and returns the events about the secret.
	until := func(kind api.EventKind, text string) (of []string) {
		t.Helper()
		for range 200 {
			ev := bob.next()
			if strings.Contains(ev.Data, string(secret)) || strings.Contains(ev.Data, "secret") {
				of = append(of, ev.Type)
			}
			if ev.Type == string(kind) && strings.Contains(ev.Data, text) {
				return of
			}
		}
		t.Fatalf("no %s with %q", kind, text)
		return nil
	}
	nothing := func(when, marker string) {
		t.Helper()
		create(operator, marker, api.Anyone)
		if of := until(api.EventVolume, marker); len(of) > 0 {
			t.Errorf("%s: was told %v of another tenant's volume", when, of)
		}
	}
	if of := until(api.EventSynced, ""); len(of) > 0 {
		t.Errorf("at first: was told %v of another tenant's volume", of)
	}
	note := "x"
	must(alice.ChangeVolume(ctx, string(secret), api.VolumeChange{Metadata: map[string]*string{"note": &note}}, ""))
	must(alice.ReleaseLease(ctx, secret))
	must(alice.AcquireLease(ctx, secret, nodeA, 0))
	nothing("changed", "m1")

	must(alice.Share(ctx, string(secret), api.Share{With: []api.Owner{"user:bob"}}))
	until(api.EventVolume, "secret")
	must(alice.Share(ctx, string(secret), api.Share{With: []api.Owner{"user:bob"}, End: true}))
	until(api.EventVolumeGone, string(secret))
	must(alice.ReleaseLease(ctx, secret))
	must(alice.AcquireLease(ctx, secret, nodeA, 0))
	nothing("no longer shared", "m2")

	must(operator.SetTenancy(ctx, api.TenancyShared))
	until(api.EventReset, "")
	until(api.EventVolume, "secret")
	must(operator.SetTenancy(ctx, api.TenancyOwners))
	until(api.EventReset, "")
	if of := until(api.EventSynced, ""); len(of) > 0 {
		t.Errorf("owners are kept apart again: was told %v of another tenant's volume", of)
	}
	must(alice.Delete(ctx, secret, ""))
	nothing("deleted", "m3")

	_, text := w.rawAs("tenant-bob").do("GET", "/v1/watch?volume="+string(secret), "")
	if !strings.Contains(text, string(api.CodeForbidden)) {
		t.Errorf("watching it alone: got %s", text)
	}
}

// An app that is everyone's names a volume that was given to a role: its page shows
// a tenant nothing of that.
func TestTenantsSeeNoVolumeThroughAnApp(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	m := w.service.Marathon()
	if _, err := m.Take(ctx); err != nil {
		t.Fatal(err)
	}
	followed, err := m.FollowApp(ctx, app("/db", "db"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := followed.Volumes[0].Dataset
	bob, operator := w.rawAs("tenant-bob"), w.as("user-root")
	shows := func() bool {
		t.Helper()
		_, text := bob.do("GET", "/v1/marathon/apps?id=/db", "")
		if !strings.Contains(text, `"/db"`) {
			t.Fatalf("got %s", text)
		}
		return !strings.Contains(text, "belongs to another owner")
	}
	if !shows() {
		t.Error("the app's own volume is not shown")
	}
	if _, err := operator.ChangeOwner(ctx, string(id), "role:a"); err != nil {
		t.Fatal(err)
	}
	if shows() {
		t.Error("the status of another owner's volume is shown")
	}
}
