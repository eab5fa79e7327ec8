//go:build !faults

package fault

import "time"

// Now is time.Now; built for tests it follows FLOCKER_CLOCK_FILE.
func Now() time.Time { return time.Now() }
