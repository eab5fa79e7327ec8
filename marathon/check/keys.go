package check

import (
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// The settings whose names matter here, and those of Marathon's that are near one
// of them.
var (
	appKeys = []string{
		"labels", "env", "container", "instances", "constraints", "upgradeStrategy", "unreachableStrategy",
		"backoffSeconds", "backoffFactor", "maxLaunchDelaySeconds", "taskKillGracePeriodSeconds",
	}
	podKeys       = []string{"labels", "environment", "containers", "scaling", "scheduling", "volumes"}
	containerKeys = []string{"labels", "environment"}
)

// names are all that is read of a definition.
var names = slices.Concat(appKeys, podKeys, []string{
	"id", "version", "cmd", "args", "tasks", "deployments",
	"type", "docker", "image", "parameters", "key", "value", "containerPath", "mode", "external", "provider", "name", "size", "shared", "options",
	"minimumHealthCapacity", "maximumOverCapacity", "inactiveAfterSeconds", "expungeAfterSeconds",
	"kind", "upgrade", "backoff", "maxLaunchDelay", "placement", "fieldName", "operator",
	"exec", "command", "shell", "argv", "lifecycle", "killGracePeriodSeconds",
	"healthChecks", "healthCheck", "maxConsecutiveFailures", "volumeMounts", "mountPath", "persistent",
})

// onlyLike reports whether a name is like one that is read in all but capital letters:
// Go would read it, and Marathon does not.
func onlyLike(name string) bool {
	return !slices.Contains(names, name) && slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// meantKey returns which setting was meant by a name that is none: Marathon
// ignores it without a word. It is "" for a right name, and for one that is far
// from any.
func meantKey(name string, keys []string) string {
	if slices.Contains(keys, name) {
		return ""
	}
	bare := bareKey(name)
	for _, key := range keys {
		if near(bare, bareKey(key)) {
			return key
		}
	}
	return ""
}

// bareKey makes names that differ in capital letters and hyphens one.
func bareKey(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_- .", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// near reports whether a word is another, or that with a small mistake: longer words
// have more room for it.
func near(word, other string) bool {
	if word == other {
		return true
	}
	allowed := 0
	switch {
	case len(other) >= 10:
		allowed = 2
	case len(other) >= 6:
		allowed = 1
	}
	// A transposition of neighbours is one mistake of a writer, and two of this
	// measure.
	if allowed == 1 && len(word) == len(other) && transposed(word, other) {
		return true
	}
	return api.EditDistance(word, other, allowed) <= allowed
}

func transposed(a, b string) bool {
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}
