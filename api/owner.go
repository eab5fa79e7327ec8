package api

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Owner names the callers to which a dataset belongs, or with which it is shared:
//
//	role:NAME  the frameworks of a Mesos role
//	user:NAME  the API certificates of a user
//	*          every caller
//
// The empty Owner, of records that an earlier version wrote, means Anyone.
type Owner string

// Anyone is the owner of what callers without an identity make: dvdcli, CSI, and
// frameworks of Mesos' role *.
const Anyone Owner = "*"

// OwnerUnknown is for which a node acts where it could not find out which role a
// container's framework has. It owns nothing.
const OwnerUnknown Owner = "?"

const (
	rolePrefix = "role:"
	userPrefix = "user:"
)

// MaxShares is with how many owners a dataset can be shared.
const MaxShares = 64

// RoleOwner returns the owner that the frameworks of a Mesos role act for.
func RoleOwner(role string) Owner {
	if role == "" || role == string(Anyone) {
		return Anyone
	}
	return Owner(rolePrefix + role)
}

// UserOwner returns the owner that the API certificates of a user act for.
func UserOwner(name string) Owner { return Owner(userPrefix + name) }

// ReadOwner reads an owner that a person wrote. A name without a source is a role.
func ReadOwner(text string) (Owner, error) {
	o := Owner(text)
	if o != Anyone && !strings.Contains(text, ":") {
		o = RoleOwner(text)
	}
	return o, CheckOwner("owner", o)
}

// CheckOwner reports why o names no owner.
func CheckOwner(field string, o Owner) error {
	if o == Anyone {
		return nil
	}
	name, role := strings.CutPrefix(string(o), rolePrefix)
	if !role {
		var user bool
		if name, user = strings.CutPrefix(string(o), userPrefix); !user {
			return FieldErrorf(field, "%q names no owner: write role:NAME, user:NAME, or * for every caller", o)
		}
	}
	switch n := utf8.RuneCountInString(name); {
	case n == 0, n > MaxNameLength:
		return FieldErrorf(field, "%q names no owner: the name must have 1 to %d characters", o, MaxNameLength)
	case role && name == string(Anyone):
		return FieldErrorf(field, "%q names no owner: write * for every caller", o)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return FieldErrorf(field, "%q names no owner: the name must have no spaces or control characters", o)
	}
	return nil
}

// String returns the owner as people write it.
func (o Owner) String() string { return string(o.known()) }

// User reports whether o is a user.
func (o Owner) User() bool { return strings.HasPrefix(string(o), userPrefix) }

// known returns o, Anyone where it is empty.
func (o Owner) known() Owner { return cmp.Or(o, Anyone) }

// OwnedBy reports whether o may do everything with the dataset.
func (d *Dataset) OwnedBy(o Owner) bool {
	owner := d.Owner.known()
	return owner == Anyone || owner == o.known()
}

// OpenTo reports whether o may use the dataset: it owns it, or the dataset is shared
// with it.
func (d *Dataset) OpenTo(o Owner) bool {
	return d.OwnedBy(o) || slices.Contains(d.Shared, Anyone) || slices.Contains(d.Shared, o.known())
}

// Share shares a dataset with owners, or with End ends that.
type Share struct {
	With []Owner `json:"with"`
	End  bool    `json:"end,omitempty"`
}

// Tenancy says whether owners are kept apart.
type Tenancy string

// The tenancies.
const (
	TenancyShared Tenancy = "shared" // one trust domain: every caller may use, change and delete every dataset
	TenancyOwners Tenancy = "owners" // each owner has its datasets to itself, and shares what it wants to
)

// Quota bounds what an owner may have. Zero is no bound.
type Quota struct {
	Volumes int   `json:"volumes,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
}

// QuotaDefault is the key of the quota of owners that have none of their own.
const QuotaDefault = "default"

// Usage is what an owner has: datasets until their volumes are gone, and the bytes
// that were asked for them.
type Usage struct {
	Volumes int   `json:"volumes"`
	Bytes   int64 `json:"bytes"`
}

// OwnerUsage is what an owner has, and may have.
type OwnerUsage struct {
	Owner Owner  `json:"owner"`
	Usage Usage  `json:"usage"`
	Quota *Quota `json:"quota,omitempty"` // nil for none
	// Default says that the quota is the one of owners that have none of their own.
	Default bool `json:"default,omitempty"`
}

// Quotas are the quotas of a cluster, and what owners have.
type Quotas struct {
	Default *Quota       `json:"default,omitempty"`
	Owners  []OwnerUsage `json:"owners"`
}

// TenancyView tells whether owners are kept apart, and what would change.
type TenancyView struct {
	Tenancy Tenancy `json:"tenancy"`
	// Owners have datasets, Anyone included.
	Owners []OwnerUsage `json:"owners"`
	// Losing are the uses that TenancyOwners would refuse, or refuses, when they
	// come again: by consumers and apps that neither own the dataset nor share it.
	Losing []ForeignUse `json:"losing"`
}

// ForeignUse is the use of a dataset by a caller that it does not belong to.
type ForeignUse struct {
	Dataset DatasetID `json:"dataset_id"`
	Name    string    `json:"name"`
	Owner   Owner     `json:"owner"`
	By      Owner     `json:"by"`
	App     string    `json:"app,omitempty"`
	Node    NodeID    `json:"node,omitempty"`
}
