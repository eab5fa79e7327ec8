package api

import (
	"regexp"
	"strings"
)

// Prefixes of a text that say what the rest of it is, where a name and an id can be
// mistaken for each other.
const (
	RefID   = "id:"
	RefName = "name:"
)

// plainID is a UUID without its hyphens, and spelledID one of the spellings that have them.
var (
	plainID   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	spelledID = regexp.MustCompile(`^(urn:uuid:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	idBegin   = regexp.MustCompile(`^[0-9a-f]{1,8}(-[0-9a-f-]{0,27})?$|^[0-9a-f]{9,31}$`)
)

// hyphens are the places of the hyphens in an id.
var hyphens = [...]int{8, 13, 18, 23}

// ParseID reads a UUID in any of its spellings (upper case, without hyphens, in braces, as
// a URN) and returns it as ids are written. False says that the text is no UUID.
func ParseID(text string) (id string, ok bool) {
	id = strings.ToLower(text)
	if strings.HasPrefix(id, "{") && strings.HasSuffix(id, "}") {
		id = id[1 : len(id)-1]
	}
	switch {
	case plainID.MatchString(id):
		return hyphenated(id), true
	case spelledID.MatchString(id):
		return strings.TrimPrefix(id, "urn:uuid:"), true
	}
	return "", false
}

// ParseIDPrefix reads the beginning of an id, or a whole id, with or without hyphens, and
// returns it as ids are written.
func ParseIDPrefix(text string) (prefix string, ok bool) {
	if id, ok := ParseID(text); ok {
		return id, true
	}
	prefix = strings.ToLower(text)
	if !idBegin.MatchString(prefix) {
		return "", false
	}
	if !strings.Contains(prefix, "-") {
		prefix = hyphenated(prefix)
	}
	return prefix, true
}

func hyphenated(digits string) string {
	for _, at := range hyphens {
		if len(digits) > at {
			digits = digits[:at] + "-" + digits[at:]
		}
	}
	return digits
}

// Spellings returns the usual spellings of an id.
func Spellings(id string) []string {
	plain := strings.ReplaceAll(id, "-", "")
	return []string{id, strings.ToUpper(id), plain, strings.ToUpper(plain)}
}
