package api

import (
	"maps"
	"slices"
	"strings"
)

// Marathon gives a task its labels as variables: every run of characters
// other than letters, digits and underscores becomes one underscore, and all is
// upper case. It leaves out labels with a key of 493 or a value of 512
// characters and more. For the containers of a pod it is the only road that
// labels take to an isolator.
const (
	marathonLabel       = "MARATHON_APP_LABEL_"
	marathonVolumeLabel = marathonLabel + "FLOCKER_VOLUME_"
)

// ClusterHQ's Mesos isolator knew a volume by these two, if both are there.
const (
	flockerID   = "FLOCKER_ID"
	flockerPath = "FLOCKER_CONTAINER_VOLUME_PATH"
)

// The keys of volumes that no label asks for have a character which no label's
// key has, so that they never stand for the same volume.
const (
	keyFlockerID = "flocker-id"
	keyDVDI      = "dvdi-"
)

// environmentOrigin ends messages about labels that come from variables: the
// user may have written them somewhat differently.
const environmentOrigin = " (as the task's environment variables " + marathonVolumeLabel + "... have it)"

// readEnvironment reads variables that ask for volumes, except those that say
// again what the labels say.
func (p *parser) readEnvironment(env, labels []Label) {
	values := ours(env)
	if len(values) == 0 {
		return
	}
	said := make(map[string]bool)
	for _, d := range p.drafts {
		said[d.key] = true
	}
	for _, l := range labels {
		delete(values, marathonLabel+marathonName(l.Key))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		rest, ok := strings.CutPrefix(name, marathonVolumeLabel)
		if !ok {
			if almost, ok := strings.CutPrefix(name, marathonLabel); ok {
				p.refuseAlmost(almost, Label{name, values[name]})
			}
			continue
		}
		rest = strings.ToLower(rest)
		key, suffix, suffixed := strings.Cut(rest, "_")
		if said[key] {
			continue
		}
		label := LabelPrefix + key
		if suffixed {
			label += "." + suffix
		}
		p.readLabel(Label{label, values[name]}, strings.TrimPrefix(label, LabelPrefix), environmentOrigin)
	}
	p.readFlockerID(values)
	p.readDVDI(values)
}

// ours returns the variables that can be about volumes, of several with one
// name the last, as Mesos does.
func ours(env []Label) map[string]string {
	values := make(map[string]string)
	for _, v := range env {
		label, marathons := strings.CutPrefix(v.Key, marathonLabel)
		if marathons && mayBeAlmost(label) || strings.HasPrefix(v.Key, dvdiPrefix) ||
			v.Key == flockerID || v.Key == flockerPath {
			values[v.Key] = v.Value
		}
	}
	return values
}

// VolumeVariables returns the variables that ParseVolumes looks at.
func VolumeVariables(env []Label) []Label {
	var out []Label
	for name, value := range ours(env) {
		out = append(out, Label{name, value})
	}
	slices.SortFunc(out, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// marathonName returns what Marathon makes of a label's key.
func marathonName(key string) string {
	var name strings.Builder
	gap := false
	for _, r := range key {
		if isLetter(r) || r >= '0' && r <= '9' || r == '_' {
			name.WriteRune(r)
			gap = false
			continue
		}
		if !gap {
			name.WriteByte('_')
		}
		gap = true
	}
	return strings.ToUpper(name.String())
}

func (p *parser) readFlockerID(values map[string]string) {
	id, path := values[flockerID], values[flockerPath]
	if id == "" || path == "" {
		return
	}
	d := p.draft(keyFlockerID, flockerPath)
	p.set(d, settingPath, flockerPath, path)
	p.set(d, settingName, flockerID, id)
}
