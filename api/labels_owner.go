package api

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mount options that a consumer can ask for, where its agent's allow-options has
// them: each lifts a restriction that every volume has otherwise.
const (
	OptionDev  = "dev"  // device nodes in the volume can be opened
	OptionSuid = "suid" // setuid programs in the volume gain their owner's rights
)

// MountOptions are all that there are.
var MountOptions = []string{OptionDev, OptionSuid}

// maxID is the largest number of a user or a group. The one above stands for
// "no change" in Linux.
const maxID = 1<<32 - 2

// ParseOwner returns the numbers in text of the form uid[:gid]. The group is that
// of the user's number where none is given. An error is an *Error without a field.
func ParseOwner(text string) (uid, gid uint32, err error) {
	user, group, grouped := strings.Cut(text, ":")
	if !grouped {
		group = user
	}
	for _, part := range []struct {
		text string
		id   *uint32
	}{{user, &uid}, {group, &gid}} {
		n, err := strconv.ParseUint(part.text, 10, 64)
		if err != nil || n > maxID || part.text[0] == '+' {
			return 0, 0, Errorf(CodeInvalid, "%q is no owner: write uid or uid:gid with numbers from 0 to %d, such as 1000:1000", brief(text), maxID)
		}
		*part.id = uint32(n)
	}
	return uid, gid, nil
}

// FormatOwner is the reverse of ParseOwner.
func FormatOwner(uid, gid uint32) string {
	return strconv.FormatUint(uint64(uid), 10) + ":" + strconv.FormatUint(uint64(gid), 10)
}

// maxUserName bounds the name of a user in bytes: Linux knows no longer ones.
const maxUserName = 256

// IsUserName reports whether text can be the name of a user, as in /etc/passwd.
func IsUserName(text string) bool {
	return len(text) <= maxUserName && strings.Trim(text, "0123456789") != "" && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r == ':' || r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// ParsePermissions returns the mode in text such as 0750: three octal digits,
// after a 0 or not. An error is an *Error without a field.
func ParsePermissions(text string) (uint16, error) {
	digits := text
	if len(digits) == 4 {
		digits = strings.TrimPrefix(digits, "0")
	}
	n, err := strconv.ParseUint(digits, 8, 16)
	if err != nil || len(digits) != 3 {
		return 0, Errorf(CodeInvalid, "%q are no permissions: write three octal digits from 000 to 777, such as 0750; "+
			"setuid, setgid and sticky bits are not possible", brief(text))
	}
	return uint16(n), nil
}

// FormatPermissions is the reverse of ParsePermissions.
func FormatPermissions(mode uint16) string {
	text := strconv.FormatUint(uint64(mode), 8)
	return "0000"[:4-len(text)] + text
}

// finishOwner reads the settings that decide who may use a volume, and how.
func (p *parser) finishOwner(d *draft, name string, s setting, v *VolumeRequest) {
	switch name {
	case settingUser:
		uid, gid, err := ParseOwner(s.value)
		if err != nil {
			p.mistake(s.field, "user %v%s", err, d.origin)
			return
		}
		v.User = FormatOwner(uid, gid)
	case settingPermissions:
		mode, err := ParsePermissions(s.value)
		if err != nil {
			p.mistake(s.field, "permissions %v%s", err, d.origin)
			return
		}
		v.Permissions = FormatPermissions(mode)
	case settingOptions:
		v.Options = p.options(d, s)
	}
}

// options returns mount options in order. In the one-line form, whose settings have
// commas between them, the options have a plus.
func (p *parser) options(d *draft, s setting) string {
	var all []string
	for option := range strings.FieldsFuncSeq(s.value, func(r rune) bool { return r == ',' || r == '+' }) {
		option = strings.ToLower(strings.TrimSpace(option))
		if !slices.Contains(MountOptions, option) {
			p.mistake(s.field, "option %q is not possible: %s; volumes are mounted nosuid and nodev otherwise%s",
				brief(option), suggest(option, MountOptions), d.origin)
			return ""
		}
		if !slices.Contains(all, option) {
			all = append(all, option)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
