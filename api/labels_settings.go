package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The settings of a volume.
const (
	settingPath    = "path"
	settingName    = "name"
	settingSize    = "size"
	settingProfile = "profile"
	settingFS      = "fs"
	settingMode    = "mode"
	settingPreempt = "preempt"
	settingEach    = "each"
	settingReclaim = "reclaim"
	settingGrace   = "grace"

	settingUser        = "user"
	settingPermissions = "permissions"
	settingOptions     = "options"
)

var settings = []string{
	settingPath, settingName, settingSize, settingProfile, settingFS, settingMode, settingPreempt, settingEach, settingReclaim, settingGrace,
	settingUser, settingPermissions, settingOptions,
}

// draft is a volume while its settings are being read.
type draft struct {
	key    string
	field  string // to name where a mistake is about the volume as a whole
	origin string // appended to messages, for settings that come from the environment
	based  bool   // the label with the path, or the one-line form, is there
	broken bool   // a mistake has been noted that explains what is missing
	values map[string]setting
}

type setting struct{ field, value string }

// set notes a setting of a volume, unless it is wrong by itself.
func (p *parser) set(d *draft, name, field, value string) {
	value = strings.TrimSpace(value)
	switch earlier, twice := d.values[name]; {
	case !slices.Contains(settings, name):
		d.broken = true
		p.mistake(field, "%q is not a setting of a volume: %s%s", brief(name), suggest(name, settings), d.origin)
	case twice && earlier.field == field:
		p.mistake(field, "%s is given twice, as %q and as %q%s", name, brief(earlier.value), brief(value), d.origin)
	case twice:
		p.mistake(field, "%s is given twice, as %q and, in %s, as %q%s",
			name, brief(value), earlier.field, brief(earlier.value), d.origin)
	default:
		if d.values == nil {
			d.values = make(map[string]setting)
		}
		d.values[name] = setting{field, value}
		if problem := textProblem(value); problem != "" {
			d.broken = true
			p.mistake(field, "%s %q %s%s", name, brief(value), problem, d.origin)
			d.values[name] = setting{field, ""}
		}
	}
}

// finish turns a draft into a volume. It reports false after a mistake.
func (p *parser) finish(d *draft) (parsed, bool) {
	before := len(p.mistakes)
	v := p.finishSettings(d)
	if path, ok := d.values[settingPath]; ok {
		v.pathField = path.field
		v.Path = p.path(d, path)
	} else if !d.broken {
		p.missingPath(d)
	}
	return v, !d.broken && len(p.mistakes) == before
}

// finishSettings reads all settings but the path.
func (p *parser) finishSettings(d *draft) parsed {
	v := parsed{VolumeRequest: VolumeRequest{Key: d.key}, pathField: d.field, nameField: d.field}
	if name, ok := d.values[settingName]; ok {
		v.nameField = name.field
		v.Name = name.value
	} else if !d.broken {
		v.Name = p.defaultName(d)
	}
	if n := utf8.RuneCountInString(v.Name); n > MaxNameLength {
		p.mistake(v.nameField, "the volume name %q is too long: it has %d characters, at most %d are possible%s",
			brief(v.Name), n, MaxNameLength, d.origin)
	}
	for _, name := range settings {
		if s := d.values[name]; s.value != "" {
			p.finishSetting(d, name, s, &v.VolumeRequest)
		}
	}
	p.checkSet(d, v)
	return v
}

// finishSetting reads a setting other than path and name.
func (p *parser) finishSetting(d *draft, name string, s setting, v *VolumeRequest) {
	switch name {
	case settingSize:
		size, err := ParseSize(s.value)
		if err != nil {
			p.mistake(s.field, "size %v%s", err, d.origin)
		}
		v.Size = size
	case settingProfile:
		v.Profile = s.value
		if utf8.RuneCountInString(s.value) > MaxNameLength {
			p.mistake(s.field, "profile %q is longer than %d characters%s", brief(s.value), MaxNameLength, d.origin)
		}
	case settingFS:
		v.FS = p.oneOf(d, name, s, FSExt4, FSXFS)
	case settingMode:
		v.ReadOnly = p.oneOf(d, name, s, "rw", "ro") == "ro"
	case settingPreempt:
		v.Preempt = p.oneOf(d, name, s, "true", "false") == "true"
	case settingReclaim:
		v.Reclaim = ReclaimPolicy(p.oneOf(d, name, s, string(ReclaimKeep), string(ReclaimDelete)))
	case settingGrace:
		v.Grace = p.grace(d, s)
	case settingEach:
		v.Each = p.each(d, s)
	default:
		p.finishOwner(d, name, s, v)
	}
}

// each returns how many members a volume set may have, 0 where the volume is none.
func (p *parser) each(d *draft, s setting) int {
	switch value := strings.ToLower(s.value); value {
	case "true":
		return EachInstance
	case "false":
		return 0
	default:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > MaxMembers {
			p.mistake(s.field, "each %q is not possible: write true for a volume for each instance of the app, "+
				"or how many volumes there are, from 1 to %d%s", brief(s.value), MaxMembers, d.origin)
			return 0
		}
		return n
	}
}

// checkSet notes what does not go with a volume of each instance's own.
func (p *parser) checkSet(d *draft, v parsed) {
	if v.Each == 0 {
		return
	}
	if v.Preempt {
		p.mistake(d.values[settingPreempt].field, "preempt does not go with each: every instance has a volume of its own, so there is "+
			"nobody to take it from; leave preempt out%s", d.origin)
	}
	longest := MaxNameLength - len(MemberName("", MaxMembers-1))
	if n := utf8.RuneCountInString(v.Name); n > longest && n <= MaxNameLength {
		p.mistake(v.nameField, "the volume name %q is too long for each: it has %d characters, at most %d are possible, "+
			"since the members add their numbers to it%s", brief(v.Name), n, longest, d.origin)
	}
}

// MaxGrace bounds for how long the datasets of an app that was destroyed wait to
// be deleted.
const MaxGrace = 10 * 365 * 24 * time.Hour

// grace reads for how long a dataset is kept once its app is destroyed.
func (p *parser) grace(d *draft, s setting) time.Duration {
	grace, err := time.ParseDuration(s.value)
	switch {
	case err != nil:
		p.mistake(s.field, "grace %q is not a duration: write it as in 72h or 30m%s", brief(s.value), d.origin)
	case grace < time.Second || grace > MaxGrace:
		p.mistake(s.field, "grace %s is not between 1s and %s%s", grace, MaxGrace, d.origin)
	case !strings.EqualFold(d.values[settingReclaim].value, string(ReclaimDelete)):
		p.mistake(s.field, "grace has no meaning without reclaim=delete: the dataset is kept%s", d.origin)
	}
	return grace
}

// oneOf returns the value if it is one of the choices. Case does not matter:
// Marathon itself writes RW and RO.
func (p *parser) oneOf(d *draft, name string, s setting, choices ...string) string {
	value := strings.ToLower(s.value)
	if !slices.Contains(choices, value) {
		p.mistake(s.field, "%s %q is not possible: %s%s", name, brief(s.value), suggest(value, choices), d.origin)
	}
	return value
}

func (p *parser) missingPath(d *draft) {
	if d.based {
		p.mistake(d.field, "the path is missing: write path=/data for where the volume goes in the container%s", d.origin)
		return
	}
	for _, name := range settings {
		if s, ok := d.values[name]; ok {
			p.mistake(s.field, "%s is missing: it says where the volume goes in the container, such as /data%s",
				d.field, d.origin)
			return
		}
	}
}

// defaultName makes a name from the app's id and the key, which stays the
// same for every task, instance and version of the app.
func (p *parser) defaultName(d *draft) string {
	app := dotted(p.app)
	if app != "" && textProblem(app) != "" {
		p.mistake(d.field, "the app id %q can't make a name for the volume, it %s: set %s.name%s",
			brief(p.app), textProblem(app), d.field, d.origin)
		return ""
	}
	if app == "" {
		p.mistake(d.field, "the volume needs a name, because the task has no Marathon app id to make one from: "+
			"set %s.name%s", d.field, d.origin)
		return ""
	}
	return app + "." + d.key
}

func dotted(app string) string { return strings.ReplaceAll(strings.Trim(app, "/"), "/", ".") }

// NamedAfter returns the app whose id became a volume's name, "" where the name is not
// the app's default for the key, but a chosen one.
func NamedAfter(app, key, name string) string {
	if app == "" || dotted(app)+"."+key != name {
		return ""
	}
	return "/" + strings.Trim(app, "/")
}

// maxValueLength bounds any value, in bytes, so that no label makes a message
// or a request that is out of all proportion.
const maxValueLength = 4096

// brief returns the beginning of a text, for messages.
func brief(text string) string {
	if len(text) > 100 {
		return text[:100] + "..."
	}
	return text
}

// textProblem says what is wrong with any value, "" if nothing is.
func textProblem(value string) string {
	switch {
	case value == "":
		return "is empty"
	case len(value) > maxValueLength:
		return fmt.Sprintf("is longer than %d bytes", maxValueLength)
	case !utf8.ValidString(value):
		return "is not UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has a control character in it"
	}
	return ""
}

func (p *parser) checkNames() {
	seen := make(map[string]parsed, len(p.volumes))
	for _, v := range p.volumes {
		if other, taken := seen[v.Name]; taken {
			p.mistake(v.nameField, "the volume name %q is also %s's: a container has a volume only once",
				v.Name, other.nameField)
			continue
		}
		seen[v.Name] = v
	}
}
