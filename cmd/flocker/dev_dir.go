package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/isolator"
	"github.com/flocker-mesos/flocker/pki"
)

// devDir is the directory of flocker dev:
//
//	certs/     the authority and all certificates
//	control/   the control service's records
//	agent/     what the agent must not forget
//	run/       the writable side of the mount points
//	volumes/   where volumes are mounted
//	storage/   the volumes, as files
//	mesos/     modules.json, the programs that Mesos calls, the agent's socket
type devDir struct {
	root string
	lock *os.File
}

// devMark is the file that tells a directory of flocker dev from others.
const devMark = ".flocker-dev"

// openDevDir makes the directory this process' own.
func openDevDir(dir string) (*devDir, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	d := &devDir{root: root}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	if _, err := os.Stat(d.path(devMark)); errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, fmt.Errorf("%s has something else in it; name another directory with --dir", root)
	}
	if d.lock, err = os.OpenFile(d.path(devMark), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another flocker dev runs in %s", root)
		}
		return nil, fmt.Errorf("lock directory %s: %w", root, err)
	}
	return d, nil
}

func (d *devDir) close() { _ = d.lock.Close() }

func (d *devDir) path(elements ...string) string {
	return filepath.Join(append([]string{d.root}, elements...)...)
}

func (d *devDir) certs() string { return d.path("certs") }

// prepare makes what is not there yet.
func (d *devDir) prepare(library string) error {
	if err := host.CheckPrivateDir(d.root); err != nil {
		return fmt.Errorf("--dir: %w. Elsewhere, for example: --dir /var/lib/flocker-dev", err)
	}
	if err := d.makeCertificates(); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	return d.makeMesos(library)
}

// devUser is the name of the user that flocker dev makes a certificate for.
const devUser = "user"

// makeCertificates makes an authority and its certificates, all or none.
func (d *devDir) makeCertificates() error {
	if _, err := os.Stat(d.certs()); err == nil {
		return nil
	}
	fresh := d.path("certs.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	authority, err := pki.Initialize(fresh, "dev", pki.Options{})
	if err != nil {
		return err
	}
	hosts := []string{"127.0.0.1", "localhost"}
	if name, err := os.Hostname(); err == nil && net.ParseIP(name) == nil {
		hosts = append(hosts, name)
	}
	files, err := authority.ControlCertificate(fresh, hosts...)
	if err != nil {
		return err
	}
	if err := rename(files, fresh, pki.ControlName); err != nil {
		return err
	}
	if _, files, err = authority.NodeCertificate(fresh); err != nil {
		return err
	}
	if err := rename(files, fresh, "node"); err != nil {
		return err
	}
	if _, err := authority.UserCertificate(fresh, devUser); err != nil {
		return err
	}
	return os.Rename(fresh, d.certs())
}

// rename gives a certificate and its key the names that programs want.
func rename(files pki.Files, dir, base string) error {
	return errors.Join(
		os.Rename(files.Cert, filepath.Join(dir, base+".crt")),
		os.Rename(files.Key, filepath.Join(dir, base+".key")))
}

// isolatorNames are the names by which Mesos calls flocker-isolator. The
// agent's socket is looked for beside them.
var isolatorNames = []string{"flocker-isolator-prepare", "flocker-isolator-isolate", "flocker-isolator-cleanup", "dvdcli"}

// makeMesos writes what a Mesos agent needs.
func (d *devDir) makeMesos(library string) error {
	program, err := isolatorProgram()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.path("mesos"), 0o755); err != nil {
		return err
	}
	for _, name := range append([]string{"flocker-isolator"}, isolatorNames...) {
		link := d.path("mesos", name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(program, link); err != nil {
			return fmt.Errorf("link flocker-isolator: %w", err)
		}
	}
	modules, err := isolator.ModulesJSON(d.path("mesos"), library)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("mesos", "modules.json"), modules, 0o644); err != nil {
		return fmt.Errorf("write modules: %w", err)
	}
	return nil
}

// isolatorProgram finds flocker-isolator beside this program.
func isolatorProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "flocker-isolator")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("flocker-isolator has to be beside %s: %w; make build builds both", self, err)
	}
	return program, nil
}

// guide says how everything is called.
func (d *devDir) guide(w io.Writer, users net.Addr) error {
	host, port, err := net.SplitHostPort(users.String())
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	crt, key, ca := d.path("certs", devUser+".crt"), d.path("certs", devUser+".key"), d.path("certs", pki.AuthorityCert)
	fmt.Fprintf(w, `Flocker runs on this machine, with everything below %[1]s.

A Mesos agent on this machine needs these flags:

  --containerizers=mesos --isolation=cgroups/cpu,cgroups/mem,filesystem/linux,com_criteo_mesos_CommandIsolator --modules=file://%[1]s/mesos/modules.json

The command line:

  export FLOCKER_CONTROL_SERVICE=%[2]s FLOCKER_CONTROL_PORT=%[3]s FLOCKER_CERTS_PATH=%[4]s FLOCKER_USER=%[5]s
  %[11]s nodes list
  %[11]s volumes create --name hello --size 1GiB --node %[6]s --wait 30s
  %[11]s volumes show hello

The REST API:

  curl --cacert %[7]s --cert %[8]s --key %[9]s https://%[10]s/v1/state/nodes

Ctrl-C ends it. Its log follows.

`, d.root, host, port, d.certs(), devUser, thisNode(), ca, crt, key, users, os.Args[0])
	return nil
}

func thisNode() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "NODE"
}

// farewell says what stays.
func (d *devDir) farewell(w io.Writer) {
	fmt.Fprintf(w, `
Ended. Volumes that are in use stay mounted below %s.
To go on:         %s dev --dir %s
To remove it all: %[2]s dev --dir %[3]s --remove
`, d.path("volumes"), os.Args[0], d.root)
}
