package loopback_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/backend"
	"github.com/flocker-mesos/flocker/backend/loopback"
)

func (s storage) openIn(zone, instance string) (*loopback.Backend, error) {
	return loopback.New(loopback.Config{RootPath: s.root, InstanceID: instance, Zone: zone})
}

func zoneOf(t *testing.T, b *loopback.Backend) string {
	t.Helper()
	zone, err := b.Zone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestVolumesCarryTheZoneOfTheirStorage(t *testing.T) {
	s := newStorage(t)
	a, err := s.openIn("rack-1", "alpha")
	if err != nil {
		t.Fatal(err)
	}
	made, err := a.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	grown, err := a.Grow(t.Context(), made.ID, 128<<20)
	if err != nil {
		t.Fatal(err)
	}
	b := s.open(t, "beta") // which is not told the zone, and finds it
	listed, err := b.List(t.Context())
	if err != nil || len(listed) != 1 {
		t.Fatal(listed, err)
	}
	for _, zone := range []string{zoneOf(t, a), zoneOf(t, b), made.Zone, grown.Zone, listed[0].Zone} {
		if zone != "rack-1" {
			t.Errorf("got zone %q, want rack-1", zone)
		}
	}
	if err := b.Destroy(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
}

func TestMachinesThatShareAStorageAgreeAboutItsZone(t *testing.T) {
	s := newStorage(t)
	if got := zoneOf(t, s.open(t, "alpha")); got != "" {
		t.Errorf("got zone %q, want none", got)
	}
	if b, err := s.openIn("rack-1", "alpha"); err != nil || zoneOf(t, b) != "rack-1" {
		t.Fatalf("got %v, want a storage without a zone to be given one", err)
	}
	_, err := s.openIn("rack-2", "beta")
	if err == nil || !strings.Contains(err.Error(), `it is in zone "rack-1", as .flocker-zone in it says, and not in "rack-2"`) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.root, ".flocker-zone"), []byte("rack-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := s.openIn("rack-2", "beta"); err != nil || zoneOf(t, b) != "rack-2" {
		t.Errorf("got %v, want the new name to hold", err)
	}
}
