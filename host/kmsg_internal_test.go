package host

import (
	"strings"
	"testing"
)

func TestParseLogRecord(t *testing.T) {
	for _, c := range []struct {
		name, record string
		want         LogLine
		ok           bool
	}{
		{"a warning", "4,1203,98,-;XFS (loop3): Filesystem has duplicate UUID\n SUBSYSTEM=block\n", LogLine{4, "XFS (loop3): Filesystem has duplicate UUID"}, true},
		{"a program's", "12,1203,98,-;XFS (loop3): Filesystem has duplicate UUID\n", LogLine{}, false},
		{"control characters", "3,1,1,-;EXT4-fs error (device loop3): comm a\x1b[31mb\u202e\xffc\n", LogLine{3, "EXT4-fs error (device loop3): comm a?[31mb??c"}, true},
		{"a long line", "3,1,1,-;" + strings.Repeat("x", 5000), LogLine{3, strings.Repeat("x", maxLogLine)}, true},
		{"no record", "hello", LogLine{}, false},
		{"no priority", "x,1;hello", LogLine{}, false},
		{"a negative priority", "-1,1;hello", LogLine{}, false},
	} {
		if got, ok := parseLogRecord(c.record); got != c.want || ok != c.ok {
			t.Errorf("%s: got %+v, %v, want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestALogLineConcernsOneDevice(t *testing.T) {
	for _, c := range []struct {
		text, device string
		want         bool
	}{
		{"XFS (loop3): Metadata I/O error", "loop3", true},
		{"EXT4-fs error (device loop3): ext4_find_entry", "loop3", true},
		{"Aborting journal on device loop3-8.", "loop3", true},
		{"I/O error, dev loop3, sector 8", "loop3", true},
		{"I/O error, dev loop33, sector 8", "loop3", false},
		{"I/O error, dev loop33, sector 8; dev loop3", "loop3", true},
		{"Buffer I/O error on dev sda1, logical block 0", "sda", false},
		{"Buffer I/O error on dev nvme0n1p1", "nvme0n1", false},
		{"XFS (dm-3): log error", "dm-3", true},
		{"XFS (dm-30): log error", "dm-3", false},
		{"XFS (xdm-3): log error", "dm-3", false},
		{"comm x-loop3", "loop3", false},
		{"anything", "", false},
	} {
		if got := (LogLine{Text: c.text}).Concerns(c.device); got != c.want {
			t.Errorf("%q concerns %s: got %v, want %v", c.text, c.device, got, c.want)
		}
	}
}

func TestWhatTheKernelSaysIsBounded(t *testing.T) {
	lines := []LogLine{{6, "XFS (loop3): Mounting"}, {4, "XFS (loop4): other"}}
	for _, text := range []string{"a", "a", "b", "c", "d"} {
		lines = append(lines, LogLine{4, "XFS (loop3): " + text})
	}
	if got, want := about(lines, "loop3"), "XFS (loop3): a; XFS (loop3): b; XFS (loop3): c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
