package control_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/api/client"
)

// as returns a client with a certificate of a common name.
func (w *world) as(name string) *client.Client {
	w.Helper()
	c, err := client.New(client.Config{Endpoints: []string{w.cfg.Listen}, TLS: w.ca.client(name)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

func TestTenantsSeeAndManageTheirOwn(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	alice, bob, operator := w.as("tenant-alice"), w.as("tenant-bob"), w.as("user-root")
	create := func(c *client.Client, name string, owner api.Owner) api.DatasetID {
		t.Helper()
		d, err := c.Create(ctx, client.CreateRequest{Primary: nodeA, Metadata: map[string]string{"name": name}, Owner: owner}, "")
		if err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	secret, open := create(alice, "secret", ""), create(operator, "open", api.Anyone)
	if _, err := alice.AcquireLease(ctx, secret, nodeA, 0); err != nil {
		t.Fatal(err)
	}
	forbidden := map[string]func() error{
		"get":    func() error { _, err := bob.Volume(ctx, "secret"); return err },
		"get id": func() error { _, err := bob.Volume(ctx, string(secret)); return err },
		"move":   func() error { _, err := bob.Move(ctx, secret, nodeB, ""); return err },
		"delete": func() error { _, err := bob.Delete(ctx, secret, ""); return err },
		"change": func() error {
			_, err := bob.ChangeVolume(ctx, "secret", api.VolumeChange{Size: 1 << 40}, "")
			return err
		},
		"keep":    func() error { _, err := bob.Undelete(ctx, "secret"); return err },
		"share":   func() error { _, err := bob.Share(ctx, "secret", api.Share{With: []api.Owner{"user:bob"}}); return err },
		"chown":   func() error { _, err := bob.ChangeOwner(ctx, "open", "user:bob"); return err },
		"tenancy": func() error { _, err := bob.SetTenancy(ctx, api.TenancyShared); return err },
		"quota":   func() error { _, err := bob.SetQuota(ctx, "user:bob", api.Quota{Volumes: 1}); return err },
		"release": func() error { _, err := bob.ReleaseLease(ctx, secret); return err },
		"create for another": func() error {
			_, err := bob.Create(ctx, client.CreateRequest{Primary: nodeA, Owner: "user:alice"}, "")
			return err
		},
	}
	for name, call := range forbidden {
		if err := call(); api.CodeOf(err) != api.CodeForbidden {
			t.Errorf("%s: got %v, want %s", name, err, api.CodeForbidden)
		}
	}
	transport := &http.Transport{TLSClientConfig: w.ca.client("tenant-bob"), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	raw := func(path string) string {
		_, text := (&caller{w, &http.Client{Transport: transport}}).do("GET", path, "")
		return text
	}
	for _, path := range []string{"/v1/configuration/datasets", "/v1/state/datasets", "/v1/configuration/leases", "/v1/volumes", "/v1/volumes?name=secret",
		"/v1/volumes?deleted=true", "/v1/status", "/v1/quotas", "/v1/tenancy", "/v1/marathon/apps"} {
		if text := raw(path); strings.Contains(text, "secret") || strings.Contains(text, string(secret)) || strings.Contains(text, "alice") {
			t.Errorf("%s shows a tenant what is another one's: %s", path, text)
		}
	}
	names := func(c *client.Client) []string {
		t.Helper()
		all, err := c.Volumes(ctx, api.VolumeQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range all {
			names = append(names, d.Dataset.Name())
		}
		slices.Sort(names)
		return names
	}
	if got, want := names(bob), []string{"open"}; !slices.Equal(got, want) {
		t.Errorf("bob: got %v, want %v", got, want)
	}
	if got, want := names(w.as("reader-dashboard")), []string{"open", "secret"}; !slices.Equal(got, want) {
		t.Errorf("a reader: got %v, want %v", got, want)
	}
	if _, err := alice.Share(ctx, "secret", api.Share{With: []api.Owner{"user:bob"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Volume(ctx, "secret"); err != nil {
		t.Errorf("shared: %v", err)
	}
	if _, err := bob.Delete(ctx, secret, ""); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("deleting what is shared: got %v, want %s", err, api.CodeForbidden)
	}
	if _, err := bob.Delete(ctx, open, ""); err != nil {
		t.Errorf("deleting what is anyone's: %v", err)
	}
	if _, err := operator.Delete(ctx, secret, ""); err != nil {
		t.Errorf("an operator: %v", err)
	}
}

func TestNodesActForRolesAlone(t *testing.T) {
	w := newWorld(t)
	s, _ := w.connect(nodeA)
	claim := func(owner api.Owner, name string) error {
		_, err := s.Claim(t.Context(), api.ClaimRequest{Find: &api.DatasetSpec{Name: name}, Owner: owner})
		return err
	}
	if err := claim("role:a", "db"); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[api.Owner]api.Code{
		"user:alice": api.CodeForbidden, "role:b": api.CodeForbidden, "": api.CodeForbidden, api.OwnerUnknown: api.CodeUnavailable, "operator": api.CodeInvalid,
	} {
		if err := claim(owner, "db"); api.CodeOf(err) != want {
			t.Errorf("%q: got %v, want %s", owner, err, want)
		}
	}
	if _, err := w.as("user-root").SetTenancy(t.Context(), api.TenancyShared); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []api.Owner{"role:b", "", api.OwnerUnknown} {
		if err := claim(owner, "db"); err != nil {
			t.Errorf("%q in one trust domain: %v", owner, err)
		}
	}
}

func TestQuotasHoldForWritesAtOnce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.as("user-root").SetQuota(t.Context(), "user:alice", api.Quota{Volumes: 3}); err != nil {
		t.Fatal(err)
	}
	alice := w.as("tenant-alice")
	const writers = 12
	results := make(chan error, writers)
	for range writers {
		go func() {
			_, err := alice.Create(context.WithoutCancel(t.Context()), client.CreateRequest{Primary: nodeA}, "")
			results <- err
		}()
	}
	made := 0
	for range writers {
		switch err := <-results; api.CodeOf(err) {
		case "":
			made++
		case api.CodeForbidden:
		default:
			t.Error(err)
		}
	}
	if made != 3 {
		t.Errorf("got %d volumes, want 3", made)
	}
}
