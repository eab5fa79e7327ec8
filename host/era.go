package host

import (
	"fmt"
	"os"
	"strings"
)

// Era returns the boot id of this machine: a UUID that is another one after
// every start of the kernel.
func Era() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
