package check

import (
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// One mistake must not hide what else is wrong with an app, so what its labels mean
// is guessed where they have one: for the other rules alone, nothing of it is kept.

// meant returns labels with those under our names that are almost ours, and from
// which label each of these comes.
func meant(labels map[string]string) (read, from map[string]string) {
	read, from = map[string]string{}, map[string]string{}
	for _, l := range listed(labels) {
		near, ok := api.NearestLabel(l.Key)
		_, taken := labels[near]
		if strings.HasPrefix(l.Key, api.LabelPrefix) || !ok || taken || from[near] != "" {
			read[l.Key] = l.Value
			continue
		}
		read[near], from[near] = l.Value, l.Key
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
