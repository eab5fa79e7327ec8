package consul

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxKeyBytes = 256 // as store.Record has it
	maxIDBytes  = 64  // as store.Batch has it

	maxPrefixBytes = 128
	escapedGrowth  = 3 // times, at most
)

// keys are the names of what a log has in Consul.
type keys struct {
	head    string
	commits string // a folder, with a slash at its end
	records string // likewise
	begun   string
	restore string // there while the log is being restored
	root    string // the folder of all but begun
}

func newKeys(prefix string) keys {
	first, rest, deeper := strings.Cut(prefix, "/")
	begun := first + "-begun"
	if deeper {
		begun += "/" + rest
	}
	return keys{
		head: prefix + "/head", commits: prefix + "/commits/", records: prefix + "/records/",
		begun: begun, restore: prefix + "/restore", root: prefix + "/",
	}
}

// commit returns where the commit with a revision is kept.
func (k keys) commit(revision uint64) string {
	return fmt.Sprintf("%s%03d", k.commits, revision%history)
}

// own reports whether a key other than a record's is the log's.
func (k keys) own(path string) bool {
	if path == k.head || path == k.restore || folder(path) {
		return true
	}
	slot, ok := strings.CutPrefix(path, k.commits)
	n, err := strconv.ParseUint(slot, 10, 16)
	return ok && err == nil && n < history && path == k.commit(n)
}

func (k keys) record(key string) string { return k.records + escape(key) }

// recordKey is the reverse of record. It refuses whatever record did not make.
func (k keys) recordKey(path string) (string, error) {
	escaped, ok := strings.CutPrefix(path, k.records)
	if !ok {
		return "", fmt.Errorf("%q is not below %s", path, k.records)
	}
	key, err := unescape(escaped)
	if err != nil {
		return "", fmt.Errorf("%q is not the name of a record: %w", path, err)
	}
	return key, nil
}

// folder reports whether a key is one that Consul's web pages make for a
// folder: it holds nothing.
func folder(path string) bool { return strings.HasSuffix(path, "/") }

// escape makes a key safe as the end of a path: no byte that an address treats
// specially, no part that is empty or starts with a dot. Other bytes are
// written as = and two hexadecimal digits.
func escape(key string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(key)+8)
	for i := range len(key) {
		if c := key[i]; plain(key, i) {
			b = append(b, c)
		} else {
			b = append(b, '=', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// plain reports whether a byte of a key stands for itself.
func plain(key string, i int) bool {
	startsPart := i == 0 || key[i-1] == '/'
	switch c := key[i]; c {
	case '-', '_':
		return true
	case '.':
		return !startsPart
	case '/':
		return !startsPart && i < len(key)-1
	default:
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for rest := s; rest != ""; {
		if rest[0] != '=' {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if len(rest) < 3 {
			return "", errors.New("it ends within an escaped byte")
		}
		c, err := strconv.ParseUint(rest[1:3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q is not an escaped byte", rest[:3])
		}
		b.WriteByte(byte(c))
		rest = rest[3:]
	}
	key := b.String()
	if escape(key) != s {
		return "", errors.New("it is escaped in another way")
	}
	return key, checkText("key", key, maxKeyBytes)
}

// checkText reports what is not printable ASCII of 1 to limit bytes.
func checkText(what, s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s has %d bytes, not 1 to %d", what, len(s), limit)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("%s %q has something else than printable ASCII", what, s)
		}
	}
	return nil
}

// checkPrefix reports what is wrong with a prefix.
func checkPrefix(prefix string) error {
	if err := checkText("prefix", prefix, maxPrefixBytes); err != nil {
		return err
	}
	if strings.Contains(prefix, "=") || strings.HasSuffix(prefix, "/") || escape(prefix) != prefix {
		return fmt.Errorf("prefix %q is not made of letters, digits and -_. in parts between slashes", prefix)
	}
	return nil
}
