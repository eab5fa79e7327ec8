package api

import "strings"

// labelSeparators are what people write between the parts of a label's key.
const labelSeparators = "._-/: "

// NearestLabel returns the label that was probably meant by a key which is none
// of ours, or is one with a mistake: Flocker.volumes.Data.sise stands for
// flocker.volume.data.size. It reports false for a key without a mistake, and
// where nothing is near.
func NearestLabel(key string) (string, bool) {
	rest, ours := strings.CutPrefix(key, LabelPrefix)
	separators := "."
	if !ours {
		separators = labelSeparators
		flocker, after := cutAny(key, separators)
		volume, after := cutAny(after, separators)
		// Labels of Docker's are only two letters away.
		if !strings.HasPrefix(strings.ToLower(flocker), "f") || nearest(flocker, []string{"flocker"}) == "" ||
			nearest(volume, []string{"volume"}) == "" {
			return "", false
		}
		rest = after
	}
	name, setting := cutAny(rest, separators)
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && validKey(string(r)) {
			return r
		}
		return -1
	}, strings.ToLower(name))
	if name == "" || len(name) > MaxNameLength {
		return "", false
	}
	label := LabelPrefix + name
	if setting != "" {
		if setting = nearest(setting, settings); setting == "" {
			return "", false
		}
		if setting != settingPath {
			label += "." + setting
		}
	}
	if label == key {
		return "", false
	}
	return label, true
}

// cutAny returns what is before and what is behind the first separator.
func cutAny(text, separators string) (before, after string) {
	i := strings.IndexAny(text, separators)
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i+1:]
}
