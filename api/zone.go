package api

import (
	"errors"
	"fmt"
	"strings"
)

// A zone is what fails, and is reached, as one: a rack, an availability zone.
// Nodes are in one, and some storage systems bind volumes to one: such a volume
// can be attached by nodes of its zone alone, and is never anywhere else.

// FieldZone is the field of an Error that refuses a node a volume of another
// zone. No waiting mends that.
const FieldZone = "zone"

// MaxZoneLength bounds the name of a zone, in bytes.
const MaxZoneLength = 128

// CheckZone reports why a text cannot be the name of a zone. Names are compared
// with what constraints and storage systems call zones, letter by letter, so what
// is easily mistaken is no part of them.
func CheckZone(field, zone string) error {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/"
	strange := func(r rune) bool { return !strings.ContainsRune(plain, r) }
	switch {
	case len(zone) > MaxZoneLength:
		return FieldErrorf(field, "%q is longer than %d bytes", brief(zone), MaxZoneLength)
	case strings.ContainsFunc(zone, strange):
		return FieldErrorf(field, "%q is not the name of a zone, such as us-east-1a: letters, digits and the characters - _ . : / are possible", brief(zone))
	}
	return nil
}

// Apart reports whether a volume and a node are known to be in different zones:
// then the node can never have the volume attached.
func Apart(v *Volume, nodeZone string) bool {
	return v != nil && v.Zone != "" && nodeZone != "" && v.Zone != nodeZone
}

// ZoneConstraint is what keeps an app of Marathon's in a zone.
func ZoneConstraint(zone string) string { return fmt.Sprintf(`["@zone", "IS", %q]`, zone) }

// IsZoneError reports whether a node was refused a volume of another zone.
func IsZoneError(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeConflict && e.Field == FieldZone
}
