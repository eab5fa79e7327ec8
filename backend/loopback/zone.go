package loopback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// zoneName is the file that has in it which zone a storage is in. So the machines
// that share it agree about that, though each is told by itself: a volume whose
// zone is misspelt could be attached nowhere.
const zoneName = ".flocker-zone"

// openZone finds out the zone of a storage, or gives it one.
func (r *root) openZone(want string) error {
	path := filepath.Join(r.path, zoneName)
	zone, err := readZone(path)
	if errors.Is(err, os.ErrNotExist) && want != "" {
		if err := writeMark(path, want); err != nil {
			return fmt.Errorf("note its zone: %w", err)
		}
		if err := syncDirectory(r.path); err != nil {
			return err
		}
		zone, err = readZone(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("find out its zone: %w", err)
	}
	if want != "" && zone != want {
		return fmt.Errorf("it is in zone %q, as %s in it says, and not in %q, as this machine is told: "+
			"give all machines that share it one zone; to rename that, stop their agents and change the file as well", zone, zoneName, want)
	}
	r.zone = zone
	return nil
}

func readZone(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimSpace(string(text)), err
}
