package api

import (
	"slices"
	"strings"
)

// LabelPrefix begins every label that asks for a volume:
//
//	flocker.volume.KEY          the path in the container, or the one-line form
//	flocker.volume.KEY.SETTING  one of name, size, profile, fs, mode, preempt, each,
//	                            user, permissions, options
//
// The one-line form has all settings of a volume in one value, as in
// "path=/data,name=orders-db,size=100G". KEY is of lower-case letters and
// digits and names the volume within its app.
const LabelPrefix = "flocker.volume."

// Limits of what a container can ask for.
const (
	MaxVolumes   = 256
	maxKeyLength = 64
)

// ParseVolumes returns the volumes that a container asks for, sorted by key,
// and notes about settings that were understood but have no effect here. The
// app is Marathon's id, such as /prod/orders-db, or "". A label wins over
// environment variables of the same key. Labels and variables of others are
// ignored, and those that are almost ours are mistakes (AlmostLabel). An error is a
// Mistakes with all mistakes that were made, each of which names the label or variable as
// its field.
func ParseVolumes(app string, labels, env []Label) (volumes []VolumeRequest, notes []string, err error) {
	p := parser{app: app}
	p.readLabels(labels)
	p.readEnvironment(env, labels)
	if len(p.drafts) == 0 && len(p.mistakes) == 0 {
		return nil, nil, nil
	}
	for _, d := range p.drafts {
		if v, ok := p.finish(d); ok {
			p.volumes = append(p.volumes, v)
		}
	}
	p.dropRepeated()
	if n := len(p.volumes); n > MaxVolumes {
		p.mistake(p.volumes[MaxVolumes].pathField, "the container asks for %d volumes, more than the %d that are possible", n, MaxVolumes)
	}
	p.checkNames()
	p.checkPaths()
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b *Error) int { return strings.Compare(a.Field, b.Field) })
		return nil, nil, p.mistakes
	}
	for _, v := range p.volumes {
		volumes = append(volumes, v.VolumeRequest)
	}
	slices.SortFunc(volumes, func(a, b VolumeRequest) int { return strings.Compare(a.Key, b.Key) })
	return volumes, p.notes, nil
}

// parser collects what labels and environment ask for.
type parser struct {
	app      string
	drafts   []*draft
	volumes  []parsed
	notes    []string
	mistakes Mistakes
}

// parsed is a volume with the field to name when it does not go with others.
type parsed struct {
	VolumeRequest
	pathField, nameField string
}

func (p *parser) mistake(field, format string, args ...any) {
	p.mistakes = append(p.mistakes, FieldErrorf(field, format, args...))
}

// dropRepeated forgets a volume of the environment of other isolators that a
// label asks for too, at the same path: that is an app on its way to labels.
func (p *parser) dropRepeated() {
	all := slices.Clone(p.volumes)
	p.volumes = slices.DeleteFunc(p.volumes, func(v parsed) bool {
		return !validKey(v.Key) && slices.ContainsFunc(all, func(o parsed) bool {
			return validKey(o.Key) && o.Name == v.Name && o.Path == v.Path
		})
	})
}

func (p *parser) readLabels(labels []Label) {
	seen := make(map[string]bool)
	for _, l := range labels {
		rest, ours := strings.CutPrefix(l.Key, LabelPrefix)
		if !ours {
			p.refuseAlmost(l.Key, l)
			continue
		}
		if seen[l.Key] {
			p.mistake(l.Key, "the label is there twice")
			continue
		}
		seen[l.Key] = true
		p.readLabel(l, rest, "")
	}
}

// refuseAlmost refuses a label, or the variable of one, whose key is almost one of ours.
func (p *parser) refuseAlmost(key string, l Label) {
	label, almost := AlmostLabel(key)
	switch {
	case !almost:
	case label == "":
		p.mistake(l.Key, "the label asks for no volume, and its value is %q: labels for volumes are %sKEY and %sKEY.SETTING, such as %sdata",
			brief(l.Value), LabelPrefix, LabelPrefix, LabelPrefix)
	default:
		p.mistake(l.Key, "the label asks for no volume, and its value is %q: did you mean %s?", brief(l.Value), label)
	}
}

// readLabel reads one label, whose key is LabelPrefix and rest. Messages end
// with the origin.
func (p *parser) readLabel(l Label, rest, origin string) {
	key, name, suffixed := strings.Cut(rest, ".")
	if len(key) > maxKeyLength {
		p.mistake(l.Key, "the key %q has %d characters, more than the %d that are possible%s", brief(key), len(key), maxKeyLength, origin)
		return
	}
	if !validKey(key) {
		p.mistake(l.Key, "%q can't name a volume: write %sKEY with lower-case letters and digits, such as %sdata%s",
			brief(key), LabelPrefix, LabelPrefix, origin)
		return
	}
	d := p.draft(key, LabelPrefix+key)
	d.origin = origin
	switch {
	case suffixed && name == "path":
		d.broken = true
		p.mistake(l.Key, "the path goes into %s itself%s", d.field, origin)
	case suffixed:
		p.set(d, name, l.Key, l.Value)
	default:
		d.based = true
		if strings.Contains(l.Value, "=") {
			p.readOneLine(d, l.Value)
			return
		}
		p.set(d, settingPath, l.Key, l.Value)
	}
}

// readOneLine reads a value such as "path=/data,size=20G".
func (p *parser) readOneLine(d *draft, value string) {
	if problem := textProblem(value); problem != "" {
		d.broken = true
		p.mistake(d.field, "%q %s%s", brief(value), problem, d.origin)
		return
	}
	for item := range strings.SplitSeq(value, ",") {
		name, v, ok := strings.Cut(item, "=")
		if !ok {
			d.broken = true
			p.mistake(d.field, "%q in %q is not a setting: write it as in path=/data,name=orders-db,size=100GiB%s",
				brief(item), brief(value), d.origin)
			continue
		}
		p.set(d, strings.TrimSpace(name), d.field, v)
	}
}

// draft returns the draft with a key, a new one if there is none.
func (p *parser) draft(key, field string) *draft {
	for _, d := range p.drafts {
		if d.key == key {
			return d
		}
	}
	d := &draft{key: key, field: field}
	p.drafts = append(p.drafts, d)
	return d
}

func validKey(key string) bool {
	for i := range len(key) {
		if !isDigit(key[i]) && (key[i] < 'a' || key[i] > 'z') {
			return false
		}
	}
	return key != ""
}
