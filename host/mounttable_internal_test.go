package host

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

// FuzzMountTable reads tables as the kernel writes them, with a mount of any
// source, target and options in it: file systems and users name these. The other
// mounts are read as they are.
func FuzzMountTable(f *testing.F) {
	f.Add([]byte("/flocker/a b"), []byte("/dev/loop0"), []byte("rw,relatime"), []byte("shared:7"))
	f.Add([]byte("/mnt/x\n36 35 98:0 / /flocker/fake ro - ext4 /dev/root rw"), []byte("none"), []byte("ro"), []byte("master:1"))
	f.Add([]byte("\\040\\"), []byte(""), []byte(""), []byte("-"))
	const ours = "100 1 7:3 / /flocker/volume ro,nosuid shared:5 - ext4 /dev/loop3 rw,errors=remount-ro\n"
	f.Fuzz(func(t *testing.T, target, source, options, optional []byte) {
		line := fmt.Sprintf("99 1 7:9 / %s %s %s - ext4 %s rw\n", mangle(target), mangle(options), mangle(optional), mangle(source))
		for _, text := range []string{line + ours, ours + line} {
			infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
			if err != nil {
				continue // a line that no kernel writes: without a source, say
			}
			table := mountEntries(infos)
			if len(table) != 2 {
				t.Fatalf("%d mounts in %q", len(table), text)
			}
			var found bool
			for _, m := range table {
				if m.ID == 100 {
					found = m.Target == "/flocker/volume" && m.ReadOnly && m.Shared && m.FS == "ext4"
				} else if m.Target == "/flocker/volume" && !bytes.Equal(target, []byte("/flocker/volume")) {
					t.Fatalf("%q passes for our mount point", target)
				}
			}
			if !found {
				t.Fatalf("our mount is read as another one: %+v", table)
			}
		}
	})
}

// mangle escapes as the kernel does in /proc/self/mountinfo.
func mangle(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		switch c {
		case ' ', '\t', '\n', '\\', '#', '\r', '\f', '\v':
			fmt.Fprintf(&out, "\\%03o", c)
		case 0:
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
