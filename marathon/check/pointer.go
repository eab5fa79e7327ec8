package check

import (
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// pointer makes an RFC 6901 JSON pointer of names and numbers.
func pointer(tokens ...string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, t := range tokens {
		b.WriteByte('/')
		_, _ = escape.WriteString(&b, t) // a Builder has no errors
	}
	return b.String()
}

// tokensOf takes a pointer apart.
func tokensOf(pointer string) []string {
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(pointer[1:], "/")
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i, t := range tokens {
		tokens[i] = unescape.Replace(t)
	}
	return tokens
}

// find returns the value at a pointer, or the deepest one on the way there, and
// whether it is the one itself.
func find(v *hujson.Value, tokens []string) (found *hujson.Value, all bool) {
	for _, t := range tokens {
		next := child(v, t)
		if next == nil {
			return v, false
		}
		v = next
	}
	return v, true
}

func child(v *hujson.Value, token string) *hujson.Value {
	switch value := v.Value.(type) {
	case *hujson.Object:
		return member(value, token)
	case *hujson.Array:
		i, err := strconv.Atoi(token)
		if err == nil && i >= 0 && i < len(value.Elements) {
			return &value.Elements[i]
		}
	}
	return nil
}
