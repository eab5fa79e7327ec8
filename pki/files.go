package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ExistsError refuses to overwrite a file. Its first two sentences are those
// of Flocker's flocker-ca.
type ExistsError struct{ File string }

// Error implements error.
func (e *ExistsError) Error() string {
	what := "certificate"
	if filepath.Ext(e.File) == ".key" {
		what = "private key"
	}
	return fmt.Sprintf("Unable to write %s file. File exists %s: it is never overwritten; move it away or write elsewhere with -o", what, e.File)
}

// keyBlock encodes a key.
func keyBlock(key crypto.Signer) (*pem.Block, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return &pem.Block{Type: pemKey, Bytes: der}, nil
}

func certBlock(der []byte) *pem.Block { return &pem.Block{Type: pemCertificate, Bytes: der} }

// writePair writes a certificate and its key, both or neither, and never over
// a file that exists.
func writePair(files Files, der []byte, key crypto.Signer) error {
	if _, err := os.Lstat(files.Cert); err == nil {
		return &ExistsError{files.Cert}
	}
	block, err := keyBlock(key)
	if err != nil {
		return err
	}
	if err := writeNew(files.Key, block); err != nil {
		return err
	}
	if err := writeNew(files.Cert, certBlock(der)); err != nil {
		return errors.Join(err, os.Remove(files.Key))
	}
	return nil
}

// writeNew makes a file that nobody but its owner can read and that is there
// whole or not at all.
func writeNew(path string, blocks ...*pem.Block) error {
	tmp, err := writeTemp(path, blocks)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // the content lives on under its own name
	// A link, unlike a rename, fails where something has the name already.
	if err := os.Link(tmp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &ExistsError{path}
		}
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// replace puts new content in a file's place, in one step for whoever reads it.
// The owner and the mode stay.
func replace(path string, blocks ...*pem.Block) error {
	old, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	tmp, err := writeTemp(path, blocks)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // where it did not get its name
	if err := sameOwner(tmp, old); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// sameOwner gives a file the owner and the mode of another: a service that does
// not run as root must still be able to read what was renewed by root.
func sameOwner(path string, other os.FileInfo) error {
	if owner, ok := other.Sys().(*syscall.Stat_t); ok {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if own, ok := info.Sys().(*syscall.Stat_t); !ok || own.Uid != owner.Uid || own.Gid != owner.Gid {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	return os.Chmod(path, other.Mode().Perm())
}

// keepOld gives a file that is about to be replaced a second name, which is its
// name with .old, and returns that. What was kept under it before is forgotten.
func keepOld(path string) (old string, err error) {
	old = path + ".old"
	tmp := old + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	if err := os.Link(path, tmp); err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	if err := os.Rename(tmp, old); err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	// Of two names of one file a rename does nothing.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	return old, nil
}

// writeTemp writes a file with mode 0600 beside path and returns its name.
func writeTemp(path string, blocks []*pem.Block) (string, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".flocker-ca-*") // made with mode 0600
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	for _, block := range blocks {
		err = errors.Join(err, pem.Encode(tmp, block))
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
