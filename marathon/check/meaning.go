package check

import (
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// One mistake must not hide what else is wrong with an app, so what its labels mean
// is guessed where they have one: for the other rules alone, nothing of it is kept.

// meant returns labels with those under our names that are almost ours, and from
// which label each of these comes. What an almost-label stands for may be unknown or
// taken: such a label is left out, and has a finding of its own.
func meant(labels map[string]string) (read, from map[string]string) {
	read, from = map[string]string{}, map[string]string{}
	for _, l := range listed(labels) {
		near, almost := api.AlmostLabel(l.Key)
		_, taken := labels[near]
		switch {
		case !almost:
			read[l.Key] = l.Value
		case near != "" && !taken && from[near] == "":
			read[near], from[near] = l.Value, l.Key
		}
	}
	return read, from
}

// without returns what is left of a label of one line that has a mistake: where the
// volume is, which one it is, and whether each instance has one; then where it is
// alone. It reports false where nothing is left.
func without(value string) (less string, ok bool) {
	for _, keep := range [][]string{{"path", "name", "each"}, {"path"}} {
		items := slices.DeleteFunc(strings.Split(value, ","), func(item string) bool {
			setting, _, _ := strings.Cut(item, "=")
			return !slices.Contains(keep, strings.ToLower(strings.TrimSpace(setting)))
		})
		if less = strings.Join(items, ","); less != "" && less != value {
			return less, true
		}
	}
	return "", false
}
