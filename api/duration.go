package api

import (
	"strings"
	"time"
)

// FormatDuration returns a duration as people write it into files of settings:
// 720h where the standard library writes 720h0m0s.
func FormatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
