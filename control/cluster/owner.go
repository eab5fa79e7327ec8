package cluster

import "github.com/flocker-mesos/flocker/api"

// checkOwner reports why no dataset can have such a user and permissions. The user
// may be a name where a front door or Marathon tells the task's user.
func checkOwner(user, permissions string, nameAllowed bool) error {
	if user != "" {
		if _, _, err := api.ParseOwner(user); err != nil && (!nameAllowed || !api.IsUserName(user)) {
			return api.FieldErrorf("user", "%s", api.AsError(err).Message)
		}
	}
	if permissions != "" {
		if _, err := api.ParsePermissions(permissions); err != nil {
			return api.FieldErrorf("permissions", "%s", api.AsError(err).Message)
		}
	}
	return nil
}

// normalOwner returns a user and permissions, which are right, in their usual form.
func normalOwner(user, permissions string) (string, string) {
	if uid, gid, err := api.ParseOwner(user); err == nil {
		user = api.FormatOwner(uid, gid)
	}
	if mode, err := api.ParsePermissions(permissions); err == nil {
		permissions = api.FormatPermissions(mode)
	}
	return user, permissions
}
