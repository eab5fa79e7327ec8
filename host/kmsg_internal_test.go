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
		{"a warning", "4,1203,98,-;XFS (loop3): Filesystem has duplicate UUID\n SUBSYSTEM=block\n", LogLine{4, "XFS (loop3): Filesystem has duplicate UUID", 1203}, true},
		{"a program's", "12,1203,98,-;XFS (loop3): Filesystem has duplicate UUID\n", LogLine{}, false},
		{"control characters", "3,1,1,-;EXT4-fs error (device loop3): comm a\x1b[31mb\u202e\xffc\n", LogLine{3, "EXT4-fs error (device loop3): comm a?[31mb??c", 1}, true},
		{"a long line", "3,1,1,-;" + strings.Repeat("x", 5000), LogLine{3, strings.Repeat("x", maxLogLine), 1}, true},
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
		{"EXT4-fs error (device loop3): ext4_find_entry:1", "loop3", true},
		{"Aborting journal on device loop3-8.", "loop3", true},
		{"I/O error, dev loop3, sector 8", "loop3", true},
		{"I/O error, dev loop33, sector 8", "loop3", false},
		{"Buffer I/O error on dev sda1, logical block 0", "sda", false},
		{"Buffer I/O error on dev nvme0n1p1", "nvme0n1", false},
		{"XFS (dm-3): log error", "dm-3", true},
		{"XFS (dm-30): log error", "dm-3", false},
		{"XFS (xdm-3): log error", "dm-3", false},
		{"comm x-loop3", "loop3", false},
		{"JBD2: I/O error when updating journal superblock for loop3-8", "loop3", true},
		{"Buffer I/O error on dev dm-3, logical block 15, lost sync page write", "dm-3", true},
		{"critical space allocation error, dev loop3, sector 8 op 0x1:(WRITE)", "loop3", true},
		{"blk_update_request: I/O error, dev vda1, sector 8", "vda1", true},
		{"loop3: writeback error on inode 132, offset 0, sector 153704", "loop3", true},
		{"sd 2:0:0:0: [sda] tag#3 FAILED Result: hostbyte=DID_OK", "sda", true},
		{"BTRFS error (device loop3: state EA): bdev", "loop3", true},
		{"loop3 I/O error invoked oom-killer: gfp_mask=0xcc0", "loop3", false},
		{"XFS (loop3): x invoked oom-killer: gfp_mask=0xcc0", "loop3", false},
		{"loop3: page allocation failure: order:0", "loop3", false},
		{"error, dev sda, invoked oom-killer: gfp_mask=0xcc0", "sda", false},
		{"Memory cgroup out of memory: Killed process 7 (loop3 I/O error) total-vm:1kB", "loop3", false},
		{"EXT4-fs error (device loop4): ext4_find_dest_de:2113: inode #13: comm loop3 I/O error: bad entry", "loop3", false},
		{"EXT4-fs error (device loop4): htree_dirblock: path /a (loop3): shut down requested", "loop3", false},
		{"anything", "", false},
	} {
		if got := (LogLine{Text: c.text}).Concerns(c.device); got != c.want {
			t.Errorf("%q concerns %s: got %v, want %v", c.text, c.device, got, c.want)
		}
	}
}

func TestWhatTheKernelSaysIsBounded(t *testing.T) {
	lines := []LogLine{{Level: 6, Text: "XFS (loop3): Mounting"}, {Level: 4, Text: "XFS (loop4): other"}}
	for _, text := range []string{"a", "a", "b", "c", "d"} {
		lines = append(lines, LogLine{Level: 4, Text: "XFS (loop3): " + text})
	}
	if got, want := about(lines, "loop3"), "XFS (loop3): a; XFS (loop3): b; XFS (loop3): c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatATaskChoseIsNoWordOfTheKernel(t *testing.T) {
	for text, want := range map[string][2]bool{ // ends writing, loses data
		"Aborting journal on device loop3-8":                                                      {true, false},
		"EXT4-fs (loop3): Remounting filesystem read-only":                                        {true, false},
		"EXT4-fs (loop3): shut down requested (2)":                                                {true, false},
		"EXT4-fs error (device loop3): f:1: inode #13: comm x: path /shut down requested: bad":    {false, false},
		"EXT4-fs error (device loop3): f:1: comm Aborting journal on device ":                     {false, false},
		"XFS (loop3): log I/O error -5":                                                           {false, true},
		"EXT4-fs warning (device loop3): ext4_end_bio:343: I/O error 3 writing to inode 12":       {false, true},
		"EXT4-fs (loop3): failed to convert unwritten extents to written -- potential data loss!": {false, true},
		"critical space allocation error, dev loop3, sector 8":                                    {false, true},
		"I/O error, dev loop3, sector 8":                                                          {false, true},
		"Buffer I/O error on dev loop3, logical block 15, lost async page write":                  {false, true},
		"Buffer I/O error on device loop3, logical block 15":                                      {false, true},
		"loop3: writeback error on inode 132, offset 0, sector 153704":                            {false, true},
		"JBD2: I/O error when updating journal superblock for loop3-8":                            {false, true},
		"XFS (loop3): Filesystem has duplicate UUID":                                              {false, false},
	} {
		if got := [2]bool{endsWriting(text), losesData(text)}; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
