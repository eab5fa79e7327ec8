package control

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/pki"
)

// admit says why a caller may not do what he asks for. That the role may use
// this port at all has been seen to in the handshake; it is looked at again
// because a mistake here would open the whole cluster.
func (s *server) admit(who caller, r *http.Request) error {
	if !slices.Contains(s.roles, who.role) {
		names := make([]string, len(s.roles))
		for i, role := range s.roles {
			names[i] = strconv.Quote(string(role))
		}
		return api.Errorf(api.CodeForbidden, "this port is for certificates of the role %s, not %q", strings.Join(names, " or "), who.role)
	}
	if who.role == pki.RoleReader {
		return admitReader(who, r)
	}
	return nil
}

const pathBackup = "/v1/backup"

// admitReader lets readers see everything, and change nothing. A backup is more
// than to see: whoever has it can make the cluster anew elsewhere, taking one
// keeps others from it, and costs the memory of all records.
func admitReader(who caller, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return api.Errorf(api.CodeForbidden, "the certificate of %s is a reader's: it allows GET and HEAD, not %s. "+
			"`flocker ca create-api-certificate NAME` without --read-only makes one that allows everything", who.name, r.Method)
	case r.URL.Path == pathBackup:
		return api.Errorf(api.CodeForbidden, "the certificate of %s is read-only, and a backup needs a certificate without that limit", who.name)
	default:
		return nil
	}
}
