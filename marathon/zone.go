package marathon

import (
	"regexp"
	"strings"
)

// DomainZone is what constraints call the zone of a Mesos agent's --domain.
const DomainZone = "@zone"

// IsZoneField reports whether a constraint's field is the zone of a machine: Mesos'
// own, or an attribute that operators give agents.
func IsZoneField(field string) bool {
	switch field {
	case DomainZone, "zone", "flocker_zone", "availability_zone", "az":
		return true
	default:
		return false
	}
}

// Zone returns the zone in which alone the app may run by its constraints, "" where
// it may run in several, or that cannot be told.
func (a *App) Zone() string {
	for _, c := range a.Constraints {
		if len(c) < 3 {
			continue
		}
		if zone := zoneOf(PodConstraint{c[0], c[1], c[2]}); zone != "" {
			return zone
		}
	}
	return ""
}

// Zone is as that of an app.
func (p *Pod) Zone() string {
	if p.Scheduling == nil || p.Scheduling.Placement == nil {
		return ""
	}
	for _, c := range p.Scheduling.Placement.Constraints {
		if zone := zoneOf(c); zone != "" {
			return zone
		}
	}
	return ""
}

// zoneOf returns the one zone that a constraint allows, "" where it allows several.
func zoneOf(c PodConstraint) string {
	if !IsZoneField(c.Field) {
		return ""
	}
	switch strings.ToUpper(c.Operator) {
	case "IS", "CLUSTER":
		return c.Value
	case "LIKE":
		if regexp.QuoteMeta(c.Value) == c.Value {
			return c.Value
		}
	}
	return ""
}
