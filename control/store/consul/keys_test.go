package consul

import (
	"strings"
	"testing"
)

func TestKeysAreEscapedSoThatPathsKeepThem(t *testing.T) {
	for key, want := range map[string]string{
		"dataset/6d3c3b1e-90f1": "dataset/6d3c3b1e-90f1",
		"a.b_c":                 "a.b_c",
		"a b":                   "a=20b",
		"a=b":                   "a=3Db",
		"/a//b/":                "=2Fa/=2Fb=2F",
		"..":                    "=2E.",
		"a/../b":                "a/=2E./b",
		"/":                     "=2F",
		"?x#y%2f&<>\"\\":        "=3Fx=23y=252f=26=3C=3E=22=5C",
	} {
		got := escape(key)
		if got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
		if back, err := unescape(got); err != nil || back != key {
			t.Errorf("%q: got back %q, %v", key, back, err)
		}
	}
}

func TestNamesThatNoRecordHasAreRefused(t *testing.T) {
	for _, name := range []string{"", "=", "=2", "=zz", "=41", "a=20b=2", "/a", "a//b", ".", "a b", "\x00", strings.Repeat("k", 257)} {
		if key, err := unescape(name); err == nil {
			t.Errorf("%q: got %q, want it refused", name, key)
		}
	}
}

func TestMarkIsBesideThePrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"flocker": "flocker-begun", "teams/one/flocker": "teams-begun/one/flocker",
	} {
		k := newKeys(prefix)
		if k.begun != want {
			t.Errorf("%s: got %s, want %s", prefix, k.begun, want)
		}
		if strings.HasPrefix(k.begun, k.root) {
			t.Errorf("%s: the mark goes with %s", prefix, k.root)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"dataset/1", "=2E./=2F", "a=20b", "=", "=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := unescape(s)
		if err == nil && escape(key) != s {
			t.Errorf("%q was taken for %q, which is %q", s, key, escape(key))
		}
		if checkText("key", s, maxKeyBytes) != nil {
			return
		}
		escaped := escape(s)
		if len(escaped) > escapedGrowth*len(s) {
			t.Errorf("%q grew to %q", s, escaped)
		}
		if back, err := unescape(escaped); err != nil || back != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	})
}
