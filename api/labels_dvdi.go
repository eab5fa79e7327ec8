package api

import (
	"cmp"
	"strconv"
	"strings"
)

// mesos-module-dvdi, REX-Ray's isolator, knew up to ten volumes of a task by
// the variables DVDI_VOLUME_NAME, _DRIVER, _OPTS and _CONTAINERPATH, without a
// number and with 1 to 9. One without a driver was rexray's.
const dvdiPrefix = "DVDI_VOLUME_"

// DVDIDriver is the volume driver that dvdcli and mesos-module-dvdi name for
// volumes of ours.
const DVDIDriver = "flocker"

// The options that Docker volume drivers are given, by what they mean here. Who
// follows Marathon heeds reclaim and grace; they come by all the same roads.
var dvdiOptions = map[string]string{
	"size":        settingSize,
	"profile":     settingProfile,
	"volumetype":  settingProfile,
	"fs":          settingFS,
	"fstype":      settingFS,
	"newfstype":   settingFS,
	"preempt":     settingPreempt,
	"volumename":  settingName,
	"reclaim":     settingReclaim,
	"grace":       settingGrace,
	"user":        settingUser,
	"permissions": settingPermissions,
	"options":     settingOptions,
	"iops":        "",
	"overwritefs": "",
}

func (p *parser) readDVDI(values map[string]string) {
	for _, number := range []string{"", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		if values[dvdiPrefix+"DRIVER"+number] != DVDIDriver {
			continue
		}
		name, path, opts := dvdiPrefix+"NAME"+number, dvdiPrefix+"CONTAINERPATH"+number, dvdiPrefix+"OPTS"+number
		d := p.draft(keyDVDI+cmp.Or(number, "0"), name)
		d.based = true
		for _, needed := range []string{name, path} {
			if values[needed] == "" {
				d.broken = true
				p.mistake(needed, "the variable is missing, and %sDRIVER%s asks for a volume of driver %s",
					dvdiPrefix, number, DVDIDriver)
			}
		}
		if d.broken {
			continue
		}
		p.set(d, settingName, name, values[name])
		p.set(d, settingPath, path, values[path])
		for item := range strings.SplitSeq(values[opts], ",") {
			if item = strings.TrimSpace(item); item != "" {
				p.setDVDI(d, opts, item)
			}
		}
	}
}

// ParseDVDOptions returns the volume that options such as "size=20" ask for,
// and notes about those without effect. The field says in mistakes where they
// stand. The volume has neither key nor path.
func ParseDVDOptions(field, name string, options []string) (volume VolumeRequest, notes []string, err error) {
	p := parser{}
	d := p.draft("", field)
	p.set(d, settingName, field, name)
	for _, o := range options {
		p.setDVDI(d, field, o)
	}
	v := p.finishSettings(d)
	if len(p.mistakes) > 0 {
		return VolumeRequest{}, nil, p.mistakes
	}
	return v.VolumeRequest, p.notes, nil
}

// setDVDI notes one option. Its value is all that follows the first '='.
func (p *parser) setDVDI(d *draft, field, option string) {
	name, value, ok := strings.Cut(option, "=")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	meaning, known := dvdiOptions[name]
	switch {
	case !ok:
		d.broken = true
		p.mistake(field, "option %q has no value: write it as in size=20", brief(option))
	case name == settingEach:
		d.broken = true
		p.mistake(field, "option each is for labels alone: a request by this road does not name its instance; "+
			"write the labels %sKEY and %sKEY.each", LabelPrefix, LabelPrefix)
	case !known:
		d.broken = true
		p.mistake(field, "option %q is not known: %s", brief(name), suggest(name, DVDOptions()))
	case name == "overwritefs":
		if overwrite, err := strconv.ParseBool(value); err != nil || overwrite {
			d.broken = true
			p.mistake(field, "option overwritefs=%s is refused: a volume with data is never formatted", brief(value))
		}
	case name == "iops":
		p.notes = append(p.notes, field+": iops has no effect: the profile decides the speed of a volume")
	case name == "volumename":
		if value != d.values[settingName].value {
			d.broken = true
			p.mistake(field, "option volumename=%q contradicts the volume's name, %q", brief(value), brief(d.values[settingName].value))
		}
	case name == settingSize:
		p.setGiB(d, field, value)
	default:
		p.set(d, meaning, field, value)
	}
}

// setGiB notes a size in a form in which a number without a unit is of GiB.
func (p *parser) setGiB(d *draft, field, value string) {
	size, err := gibibytes(value)
	if err != nil {
		d.broken = true
		p.mistake(field, "size %v", err)
		return
	}
	p.set(d, settingSize, field, size)
}
