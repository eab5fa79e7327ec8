package loopback_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/backend"
)

// TestWhatIsInTheWayOfANameIsNotTrusted puts other things in the place of the link
// that has a volume's name: the volume is found without a name, and nothing blocks.
func TestWhatIsInTheWayOfANameIsNotTrusted(t *testing.T) {
	for what, make := range map[string]func(path string) error{
		"nothing, as for images of before": func(string) error { return nil },
		"another link":                     func(path string) error { return os.Symlink("/etc/passwd", path) },
		"directory":                        func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":                             func(path string) error { return unix.Mkfifo(path, 0o600) },
		"file":                             func(path string) error { return os.WriteFile(path, []byte("name:db"), 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newStorage(t)
			b := s.open(t, "alpha")
			v, err := b.Create(t.Context(), backend.CreateRequest{DatasetID: uuid.NewString(), Size: volumeSize, Name: "db"})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.root, "names", v.ID)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			for _, ids := range [][]string{nil, {v.ID}} {
				got, err := b.List(t.Context(), ids...)
				if err != nil || len(got) != 1 || got[0].ID != v.ID || got[0].DatasetID != v.ID || got[0].Name != "" {
					t.Errorf("list %v: got %+v, %v, want the volume without a name", ids, got, err)
				}
			}
		})
	}
}
