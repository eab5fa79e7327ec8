package api

import (
	"slices"
	"strings"
	"unicode"
)

// maxLabelEdits bounds how far a key may be from LabelPrefix to be almost a label.
const maxLabelEdits = 2

// AlmostLabel reports whether a key that is not a label of ours was probably meant to
// be one: such a task would run without its volume. Label is the label that was meant,
// or "" if the key does not tell, as with a missing KEY.
//
// Upper case does not matter, nor which characters other than letters and digits are
// between the parts, or whether there are any. The beginning of the key needs at most
// maxLabelEdits edits to become flocker and volume, both together: letters inserted,
// removed, replaced, or swapped with the next one. An abbreviation of volume counts as
// one edit. Everything else belongs to others: docker.volume.data, flocker.io/team,
// app.flocker.volume.data.
func AlmostLabel(key string) (label string, ok bool) {
	if strings.HasPrefix(key, LabelPrefix) || !mayBeAlmost(key) {
		return "", false
	}
	rest, ok := afterAlmostPrefix(key)
	if !ok {
		return "", false
	}
	label, _ = labelOf(rest)
	return label, true
}

// AsksForVolume reports whether a label's key is one of ours or almost.
func AsksForVolume(key string) bool {
	_, almost := AlmostLabel(key)
	return almost || strings.HasPrefix(key, LabelPrefix)
}

// mayBeAlmost reports false for most keys of others, quickly: more than maxLabelEdits
// letters are missing that even the shortest form of the prefix has.
func mayBeAlmost(key string) bool {
	var seen uint32
	for i := range len(key) {
		if c := key[i] | 0x20; c >= 'a' && c <= 'z' {
			seen |= 1 << (c - 'a')
		}
	}
	missing := 0
	for i := range len(shortestPrefix) {
		if seen&(1<<(shortestPrefix[i]-'a')) == 0 {
			missing++
		}
	}
	return missing <= maxLabelEdits
}

// shortestPrefix has each letter of flocker and vol once.
const shortestPrefix = "flockerv"

// NearestLabel returns the label that was probably meant by a key that is almost ours,
// or is ours with a mistake: Flocker.volumes.Data.sise stands for
// flocker.volume.data.size. It reports false for a key without a mistake, and
// where nothing is near.
func NearestLabel(key string) (string, bool) {
	rest, ours := strings.CutPrefix(key, LabelPrefix)
	if !ours {
		label, _ := AlmostLabel(key)
		return label, label != ""
	}
	label, ok := labelOf(rest)
	if !ok || label == key {
		return "", false
	}
	return label, true
}

// labelOf returns the label that was probably meant by what follows the prefix.
func labelOf(rest string) (label string, ok bool) {
	name, setting, _ := strings.Cut(rest, ".")
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && validKey(string(r)) {
			return r
		}
		return -1
	}, strings.ToLower(name))
	if name == "" || len(name) > maxKeyLength {
		return "", false
	}
	label = LabelPrefix + name
	if setting != "" {
		meant := nearest(setting, settings)
		// Two edits of a short word lead anywhere: data to path.
		if meant == "" || len(meant) < 6 && EditDistance(setting, meant, 1) > 1 {
			return "", false
		}
		if meant != settingPath {
			label += "." + meant
		}
	}
	return label, true
}

// afterAlmostPrefix returns what follows the part of a key that is almost LabelPrefix,
// in lower case and with dots between the parts.
func afterAlmostPrefix(key string) (rest string, ok bool) {
	text := folded(key)
	fewest := maxLabelEdits + 1
	for n, first, head, after := 1, "", "", text; n <= 3 && after != ""; n++ {
		var part string
		part, after, _ = strings.Cut(after, ".")
		head += part
		edits := editsToPrefix(head)
		switch {
		case n == 1:
			first = part
			if edits > maxLabelEdits { // flockervol.data
				edits = editsToAbbreviated(part)
			}
		case n == 2 && slices.Contains(words, first):
			edits = maxLabelEdits + 1
		case n == 2 && (part == "vol" || part == "vols"):
			edits = editsToPrefix(first+"volume") + 1
		case n == 2 && editsOfBoth(first, part) <= maxLabelEdits:
			edits = editsOfBoth(first, part)
		}
		if n == 3 && edits > 1 { // flocker.io/volume.data
			continue
		}
		if edits < fewest {
			fewest, rest = edits, after
		}
	}
	if fewest <= maxLabelEdits {
		return rest, true
	}
	return afterJoinedPrefix(text)
}

// editsOfBoth counts the edits to flocker and to volume where each of them has one at
// most: flocer.volumes. Letters that editsToPrefix wants may be missing then.
func editsOfBoth(first, second string) int {
	a, b := EditDistance(first, "flocker", 1), EditDistance(second, "volume", 1)
	if a > 1 || b > 1 {
		return maxLabelEdits + 1
	}
	return a + b
}

// editsToAbbreviated counts the edits of a part that has flocker and an abbreviation of
// volume.
func editsToAbbreviated(part string) int {
	for _, short := range []string{"vol", "vols"} {
		if first, ok := strings.CutSuffix(part, short); ok && first != "" && !slices.Contains(words, first) {
			return editsToPrefix(first+"volume") + 1
		}
	}
	return maxLabelEdits + 1
}

// joinedPrefix is LabelPrefix without its dots.
const joinedPrefix = "flockervolume"

// words are near flocker and mean something else.
var words = []string{"locker", "blocker", "clocker", "flicker", "flock"}

// editsToPrefix counts the edits from the first parts of a key to joinedPrefix.
func editsToPrefix(joined string) int {
	edits := EditDistance(joined, joinedPrefix, maxLabelEdits)
	// Two edits also lead to docker, flower and floater, to column and value.
	if edits == maxLabelEdits && (joined[0] != 'f' || missesAny(joined, "kvm")) {
		return maxLabelEdits + 1
	}
	return edits
}

func missesAny(text, letters string) bool {
	return strings.ContainsFunc(letters, func(r rune) bool { return !strings.ContainsRune(text, r) })
}

// afterJoinedPrefix returns what follows joinedPrefix in a key whose dots do not count:
// flockervolumedata.
func afterJoinedPrefix(text string) (rest string, ok bool) {
	next := 0
	for i := range len(text) {
		switch {
		case next == len(joinedPrefix):
			return strings.TrimLeft(text[i:], "."), true
		case text[i] == joinedPrefix[next]:
			next++
		case text[i] != '.':
			return "", false
		}
	}
	return "", next == len(joinedPrefix)
}

// folded returns a key in lower case, with one dot for what separates parts and one
// byte for each other character.
func folded(key string) string {
	var text strings.Builder
	gap := false
	for _, r := range key {
		if r < 0x80 && !isLetter(r) && (r < '0' || r > '9') {
			gap = true
			continue
		}
		if gap && text.Len() > 0 {
			text.WriteByte('.')
		}
		gap = false
		if r >= 0x80 {
			r = '?'
		}
		text.WriteRune(unicode.ToLower(r))
	}
	return text.String()
}
