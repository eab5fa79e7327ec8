package pki

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
)

// Role is what a certificate's owner may do.
type Role string

// The roles.
const (
	RoleControl Role = "control" // serves the REST API and the agents
	RoleNode    Role = "node"    // is the agent of one node
	RoleUser    Role = "user"    // calls the REST API
	RoleReader  Role = "reader"  // calls what of the REST API changes nothing
	RoleTenant  Role = "tenant"  // calls the REST API for its own volumes
)

// roles are all of them.
func roles() []Role { return []Role{RoleControl, RoleNode, RoleUser, RoleReader, RoleTenant} }

// APIRoles are those that call the REST API.
func APIRoles() []Role { return []Role{RoleUser, RoleReader, RoleTenant} }

// ControlName is the common name of the control service's certificate, and a
// DNS name that it is valid for whatever host the service runs on.
const ControlName = "control-service"

const (
	nodePrefix = "node-"
	userPrefix = "user-"
	// Not user-, so that a service that does not know the role admits none of it.
	readerPrefix = "reader-"
	tenantPrefix = "tenant-" // likewise
)

var uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Identity says who a certificate names: the role ("" if it is none of ours),
// the name within the role (a node's UUID in lower case, a user's name), and
// the UUID of the cluster. It trusts the certificate; see Credentials for
// whether to.
func Identity(cert *x509.Certificate) (role Role, name, cluster string) {
	cluster = clusterOf(cert)
	cn := cert.Subject.CommonName
	if cn == ControlName {
		return RoleControl, cn, cluster
	}
	if id, ok := strings.CutPrefix(cn, nodePrefix); ok {
		if id = strings.ToLower(id); uuidText.MatchString(id) {
			return RoleNode, id, cluster
		}
	}
	if user, ok := strings.CutPrefix(cn, userPrefix); ok && user != "" {
		return RoleUser, user, cluster
	}
	if user, ok := strings.CutPrefix(cn, readerPrefix); ok && user != "" {
		return RoleReader, user, cluster
	}
	if user, ok := strings.CutPrefix(cn, tenantPrefix); ok && user != "" {
		return RoleTenant, user, cluster
	}
	return "", cn, cluster
}

// clusterOf returns the UUID of a certificate's cluster in lower case, "" where
// it does not have exactly one organizational unit.
func clusterOf(cert *x509.Certificate) string {
	if units := cert.Subject.OrganizationalUnit; len(units) == 1 {
		return strings.ToLower(units[0])
	}
	return ""
}

// describe names a certificate so that a person finds it again.
func describe(cert *x509.Certificate) string {
	return fmt.Sprintf("certificate of %q (serial %x, made by %q, valid from %s to %s)",
		cert.Subject.CommonName, cert.SerialNumber, cert.Issuer.CommonName, day(cert.NotBefore), day(cert.NotAfter))
}
