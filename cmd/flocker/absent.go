package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/flocker-mesos/flocker/backend/loopback"
	"github.com/flocker-mesos/flocker/control/store"
	"github.com/flocker-mesos/flocker/fault"
	"github.com/flocker-mesos/flocker/host"
	"github.com/flocker-mesos/flocker/pki"
)

// absentErrnos are the kernel's errors for an address, a machine or a file system that is
// not there yet.
var absentErrnos = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.EHOSTUNREACH, syscall.EHOSTDOWN,
	syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ETIMEDOUT, syscall.EADDRNOTAVAIL,
	syscall.ENODEV, syscall.ENXIO, syscall.EROFS, syscall.ESTALE, syscall.ENOTCONN, syscall.EIO,
}

// absent reports whether a program that cannot start waits for the cause to end by
// itself: something is not there yet, not reachable, or not yet valid. The program ends
// for what is there and wrong, which waiting does not mend: a setting, a certificate of
// another role, a refused token, a port in use, another cluster's log.
func absent(err error) bool {
	if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
		return false
	}
	if _, missing := errors.AsType[*host.NotMountedError](err); missing {
		return true
	}
	for _, known := range []error{
		fs.ErrNotExist, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, pki.ErrNotYetValid, loopback.ErrStorageGone,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	if _, unresolved := errors.AsType[*net.DNSError](err); unresolved {
		return true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return invalid.Reason == x509.Expired && fault.Now().Before(invalid.Cert.NotBefore)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(absentErrnos, errno) {
		return true
	}
	answered, ok := errors.AsType[interface {
		error
		Temporary() bool // such as Consul without a leader
	}](err)
	if ok && answered.Temporary() {
		return true
	}
	silent, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && silent.Timeout()
}

// checkFiles returns an error for the first file of the settings that is not there. The
// libraries that read them keep only the text of such an error.
func checkFiles(files map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if files[key] == "" {
			continue
		}
		if _, err := os.Stat(files[key]); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// checkMounts returns an error for the first directory whose file system is not mounted.
func checkMounts(paths ...string) error {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := host.CheckMounted(path); err != nil {
			return err
		}
	}
	return nil
}
