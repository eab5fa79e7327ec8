package agent

import (
	"cmp"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/host"
)

// numbersOf returns the owner that a container's user is, as uid:gid. A name that
// this machine does not know stays as it is: another machine may format the volume.
// Mesos itself refuses to start a container as a user whom the machine does not
// know, so that is no error here.
func numbersOf(user string) string {
	if user == "" {
		return ""
	}
	if uid, gid, err := host.LookupUser(user); err == nil {
		return api.FormatOwner(uid, gid)
	}
	if uid, gid, err := api.ParseOwner(user); err == nil {
		return api.FormatOwner(uid, gid)
	}
	if !api.IsUserName(user) {
		return ""
	}
	return user
}

// owner returns the owner of a volume that is about to be formatted: the record's, else
// the first consumer's user, else host.Anyone.
func (s *stepper) owner(record *api.Dataset) host.Owner {
	first := s.journal.firstOf(record.ID)
	user, permissions := cmp.Or(record.User, first.User), cmp.Or(record.Permissions, first.Permissions)
	owner := host.Anyone
	if uid, gid, err := api.ParseOwner(numbersOf(user)); err == nil {
		owner = host.Owner{UID: uid, GID: gid, Mode: 0o755}
	} else if user != "" {
		s.log.Warn("user is not known here, volume is for anyone", "dataset", record.ID, "name", record.Name(), "user", user)
	}
	if mode, err := api.ParsePermissions(permissions); err == nil {
		owner.Mode = mode
	}
	return owner
}

// firstOf returns what the oldest consumer of a dataset has of it, zero where there
// is none.
func (j *journal) firstOf(id api.DatasetID) (first consumedVolume) {
	var oldest *consumer
	for _, c := range j.all() {
		i := slices.IndexFunc(c.Volumes, func(v consumedVolume) bool { return v.Dataset == id })
		if i >= 0 && (oldest == nil || c.Since.Before(oldest.Since)) {
			oldest, first = c, c.Volumes[i]
		}
	}
	return first
}

// checkOptions refuses mount options that this agent does not allow, and more
// volumes than a consumer can have.
func (v *Volumes) checkOptions(req api.AcquireRequest) error {
	if n := len(req.Volumes); n > api.MaxVolumes {
		return api.FieldErrorf("volumes", "are %d, more than the %d that a container can have", n, api.MaxVolumes)
	}
	for _, want := range req.Volumes {
		if want.Options == "" {
			continue
		}
		field := "options"
		if want.Key != "" && req.Kind == api.ConsumerMesos {
			field = api.LabelPrefix + want.Key + ".options"
		}
		for option := range strings.SplitSeq(want.Options, ",") {
			if !slices.Contains(api.MountOptions, option) || !slices.Contains(v.allowed, option) {
				return api.FieldErrorf(field, "%q is not allowed on this machine: leave it out, or have the operator add it to allow-options of agent.yml", option)
			}
		}
	}
	return nil
}
