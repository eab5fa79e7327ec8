package isolator

import "errors"

// IsNoVolumes reports whether a launch process found that its container asks for none.
func IsNoVolumes(err error) bool { return errors.Is(err, errNoVolumes) }
