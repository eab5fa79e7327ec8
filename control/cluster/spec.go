package cluster

import "github.com/flocker-mesos/flocker/api"

// What front doors and Marathon's apps ask of a dataset that may not exist yet.

// checkSpec reports why no dataset can be as a spec wants it.
func checkSpec(spec *api.DatasetSpec) error {
	if err := CheckName("name", spec.Name); err != nil {
		return err
	}
	if spec.Size != 0 {
		if err := CheckSize("size", spec.Size); err != nil {
			return err
		}
	}
	if spec.FS != "" {
		if err := CheckFS("fs", spec.FS); err != nil {
			return err
		}
	}
	if spec.Profile != "" {
		if err := CheckName("profile", spec.Profile); err != nil {
			return err
		}
	}
	return checkOwner(spec.User, spec.Permissions, true)
}

// checkFound reports why the dataset that has the name is not what a spec wants.
func checkFound(spec *api.DatasetSpec, d *api.Dataset) error {
	if spec.FS == "" || d.FS == "" || spec.FS == d.FS {
		return nil
	}
	return &api.Error{Code: api.CodeConflict, Field: "fs",
		Message: "dataset \"" + d.Name() + "\" exists with the file system " + d.FS + ", not " + spec.FS +
			": ask for " + d.FS + ", or leave the file system out, or choose another name"}
}
