// Package pki is the certificate authority of a cluster and the TLS rules that
// follow from it. File names, subjects and roles are those of Flocker's own
// flocker-ca, so that its certificates keep working; ours are X.509 version 3,
// which its are not.
//
// Who somebody is stands in the common name of the certificate: control-service,
// node-<uuid> or user-<name>. Which cluster it belongs to stands in the
// organizational unit, as the UUID that the authority got when it was made.
package pki
