package api

import (
	"slices"
	"strings"
)

// Prefixes of a text that say what the rest of it is, where a name and an id can be
// mistaken for each other.
const (
	RefID   = "id:"
	RefName = "name:"
)

// idDigits is how many digits an id has.
const idDigits = 32

// hyphens are the places of the hyphens in an id.
var hyphens = [...]int{8, 13, 18, 23}

// ParseID reads a UUID in any of its spellings (upper case, without hyphens, in braces, as
// a URN) and returns it as ids are written. False says that the text is no UUID.
func ParseID(text string) (id string, ok bool) {
	id = strings.ToLower(text)
	if strings.HasPrefix(id, "{") && strings.HasSuffix(id, "}") {
		id = id[1 : len(id)-1]
	}
	id = strings.TrimPrefix(id, "urn:uuid:")
	digits := strings.ReplaceAll(id, "-", "")
	if len(digits) != idDigits || !hexadecimal(digits) || id != digits && id != hyphenated(digits) {
		return "", false
	}
	return hyphenated(digits), true
}

// ParseIDPrefix reads the beginning of an id, or a whole id, with or without hyphens, and
// returns it as ids are written.
func ParseIDPrefix(text string) (prefix string, ok bool) {
	id, ok := ParseID(text)
	if ok {
		return id, true
	}
	prefix = strings.ToLower(text)
	digits := strings.ReplaceAll(prefix, "-", "")
	if digits == "" || len(digits) >= idDigits || !hexadecimal(digits) {
		return "", false
	}
	id = hyphenated(digits)
	switch prefix {
	case digits, id:
		return id, true
	case id + "-":
		return prefix, slices.Contains(hyphens[:], len(id))
	default:
		return "", false
	}
}

func hexadecimal(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

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
