//go:build faults

package fault

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// clockFile names a file that a test writes an offset into, such as -90m.
var clockFile = os.Getenv("FLOCKER_CLOCK_FILE")

// Now returns what this machine's clock shows, which a test has set wrong by
// what is in the file that FLOCKER_CLOCK_FILE names; no file means not at all.
// The time has no monotonic reading: whoever subtracts two of them gets what
// he would get of times that were stored and read again.
func Now() time.Time {
	now := time.Now()
	if clockFile == "" {
		return now
	}
	text, err := os.ReadFile(clockFile)
	if err != nil || len(text) == 0 { // empty while it is being written
		return now.Round(0)
	}
	offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		panic(fmt.Sprintf("FLOCKER_CLOCK_FILE: %v", err))
	}
	return now.Round(0).Add(offset)
}
