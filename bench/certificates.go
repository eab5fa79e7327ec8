package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

const benchUser = "bench"

// certificates are those of one cluster: of the control service, of a user and
// of as many nodes as are wanted.
type certificates struct {
	dir   string
	nodes []api.NodeID
}

// makeCertificates makes the certificates of a cluster with so many nodes. Its
// control service has the files that it looks for.
func makeCertificates(dir string, nodes int) (*certificates, error) {
	c := &certificates{dir: dir}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	authority, err := pki.Initialize(dir, "bench", pki.Options{})
	if err != nil {
		return nil, err
	}
	files, err := authority.ControlCertificate(dir, loopbackHost())
	if err != nil {
		return nil, err
	}
	for from, to := range map[string]string{files.Cert: ".crt", files.Key: ".key"} {
		if err := os.Rename(from, filepath.Join(dir, pki.ControlName+to)); err != nil {
			return nil, err
		}
	}
	if _, err := authority.UserCertificate(dir, benchUser); err != nil {
		return nil, err
	}
	for range nodes {
		node, _, err := authority.NodeCertificate(dir)
		if err != nil {
			return nil, fmt.Errorf("make certificate of a node: %w", err)
		}
		c.nodes = append(c.nodes, api.NodeID(node))
	}
	return c, nil
}

// nodeTLS returns how a node calls.
func (c *certificates) nodeTLS(node api.NodeID) (*tls.Config, error) {
	return c.client(string(node), pki.RoleNode)
}

// userTLS returns how the user calls.
func (c *certificates) userTLS() (*tls.Config, error) { return c.client(benchUser, pki.RoleUser) }

func (c *certificates) client(base string, role pki.Role) (*tls.Config, error) {
	creds, err := pki.Load(c.dir, base, role, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return creds.Client(), nil
}

// giveNode puts a node's certificate where its agent looks for it.
func (c *certificates) giveNode(node api.NodeID, dir string) error {
	for from, to := range map[string]string{
		pki.AuthorityCert: pki.AuthorityCert, string(node) + ".crt": "node.crt", string(node) + ".key": "node.key",
	} {
		text, err := os.ReadFile(filepath.Join(c.dir, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
