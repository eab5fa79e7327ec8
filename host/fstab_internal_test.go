package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileSystemThatIsNotMountedIsFound(t *testing.T) {
	const table = `# a comment
/dev/sda1 / ext4 defaults 0 1
UUID=x /var/lib/flocker ext4 defaults,nofail 0 2
san:/volumes /srv/flocker\040volumes nfs4 _netdev 0 0
/dev/sdb1 /backup ext4 noauto 0 0
/dev/sdc1 none swap sw 0 0
short line
`
	for path, want := range map[string]string{
		"/var/lib/flocker":           "/var/lib/flocker",
		"/var/lib/flocker/agent":     "/var/lib/flocker",
		"/var/lib/flockers":          "",
		"/srv/flocker volumes/below": "/srv/flocker volumes",
		"/backup/x":                  "",
		"/etc/flocker":               "",
	} {
		if got := missingMount(table, path, func(point string) bool { return point == "/" }); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if got := missingMount(table, path, func(string) bool { return true }); got != "" {
			t.Errorf("%s, all mounted: got %q", path, got)
		}
	}
}

func TestPathThatIsYetToBeMadeIsResolved(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got, want := resolve(filepath.Join(dir, "link/a/b")), filepath.Join(dir, "real/a/b"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
