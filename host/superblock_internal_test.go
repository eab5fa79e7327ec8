package host

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

// extHead is the start of a device with an ext4 that nothing is wrong with.
func extHead() []byte {
	head := make([]byte, firstRead)
	b := head[extSuperblockOffset:][:extSuperblockLength]
	le := binary.LittleEndian
	le.PutUint32(b, 256)
	le.PutUint32(b[0x4:], 4096)
	le.PutUint32(b[0x18:], 2)
	le.PutUint16(b[0x38:], extMagic)
	le.PutUint16(b[0x3a:], extStateValid)
	le.PutUint32(b[0x5c:], extCompatJournal)
	le.PutUint32(b[0x60:], 0x2|0x40)
	le.PutUint32(b[0x64:], extROCompatChecksum)
	le.PutUint32(b[0xe0:], 8)
	sealExt(head)
	return head
}

func sealExt(head []byte) {
	b := head[extSuperblockOffset:][:extSuperblockLength]
	binary.LittleEndian.PutUint32(b[0x3fc:], ^crc32.Checksum(b[:0x3fc], castagnoli))
}

// xfsHead is the start of a device with an XFS that nothing is wrong with.
func xfsHead() []byte {
	head := make([]byte, firstRead)
	be := binary.BigEndian
	copy(head, "XFSB")
	be.PutUint32(head[4:], 4096)
	be.PutUint64(head[8:], 8192)
	be.PutUint64(head[48:], 2048)
	be.PutUint16(head[100:], 5)
	be.PutUint16(head[102:], 512)
	sealXFS(head)
	return head
}

func sealXFS(head []byte) {
	copy(head[224:], []byte{0, 0, 0, 0})
	binary.LittleEndian.PutUint32(head[224:], crc32.Checksum(head[:512], castagnoli))
}

// TestForeignFileSystemsAreNotMounted has every feature that no kernel knows,
// and every part that a file system can keep on another device.
func TestForeignFileSystemsAreNotMounted(t *testing.T) {
	ext := func(at int, value uint32) []byte {
		head := extHead()
		field := head[extSuperblockOffset+at:]
		binary.LittleEndian.PutUint32(field, binary.LittleEndian.Uint32(field)|value)
		sealExt(head)
		return head
	}
	xfs := func(at int, value uint32) []byte {
		head := xfsHead()
		binary.BigEndian.PutUint32(head[at:], value)
		sealXFS(head)
		return head
	}
	judge := func(name string, head []byte, want string) {
		t.Helper()
		sb, ok := parseExt(head)
		if !ok {
			sb, ok = parseXFS(head)
		}
		if !ok || sb.damage != "" {
			t.Fatalf("%s: found %t, damage %q", name, ok, sb.damage)
		}
		sig, err := checkSuperblock(bytes.NewReader(head), sb, sb.size)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && sig.Kind != Filesystem || want != "" && (sig.Kind != Other || !strings.Contains(sig.Detail, want)) {
			t.Errorf("%s: got %+v, want %q", name, sig, want)
		}
	}
	judge("plain ext4", extHead(), "")
	judge("plain XFS", xfsHead(), "")
	for i := range 32 {
		bit := uint32(1) << i
		want := func(known uint32) string {
			if bit&known != 0 {
				return ""
			}
			return "features that are not known here"
		}
		if bit != extIncompatJournal {
			judge("ext4 incompatible", ext(0x60, bit), want(0x2|0x4|0x10|0x40|0x80|0x100|0x200|0x400|0x2000|0x4000|0x8000|0x10000|0x20000))
		}
		judge("ext4 read-only", ext(0x64, bit), want(0x1|0x2|0x4|0x8|0x10|0x20|0x40|0x100|0x200|0x400|0x1000|0x2000|0x8000|0x10000))
		judge("ext4 compatible", ext(0x5c, bit), "")
		judge("XFS incompatible", xfs(216, bit), want(0xff))
		judge("XFS read-only", xfs(212, bit), want(0xf))
	}
	head := extHead()
	binary.LittleEndian.PutUint32(head[extSuperblockOffset+0xe0:], 0)
	sealExt(head)
	judge("ext4 with its journal elsewhere", head, "journal on another device")
	head = xfsHead()
	binary.BigEndian.PutUint64(head[48:], 0)
	sealXFS(head)
	judge("XFS with its log elsewhere", head, "log on another device")
	judge("XFS with realtime data", xfs(20, 1), "realtime device")
}

// FuzzSuperblocks has any first bytes of a device judged: none may be taken for
// a file system that is larger than its device, and none may crash the agent.
func FuzzSuperblocks(f *testing.F) {
	f.Add(extHead()[:extSuperblockOffset+extSuperblockLength], int64(64<<20), true)
	f.Add(xfsHead()[:512], int64(64<<20), true)
	f.Add([]byte(formatMark), int64(firstRead), false)
	f.Fuzz(func(t *testing.T, start []byte, size int64, seal bool) {
		head := make([]byte, firstRead)
		copy(head, start)
		if seal { // else hardly any input gets past the checksum
			sealExt(head)
			if string(head[:4]) == "XFSB" {
				sealXFS(head)
			}
		}
		isFormatMark(head[:ext4Block])
		findMagic(head, 0, size)
		for _, parse := range []func([]byte) (superblock, bool){parseExt, parseXFS} {
			sb, ok := parse(head)
			if !ok || sb.size > size && sb.damage == "" {
				continue
			}
			if sb.size < 0 {
				t.Fatalf("a file system of %d bytes: %+v", sb.size, sb)
			}
			sig, err := checkSuperblock(bytes.NewReader(nil), sb, min(size, sb.size+1000))
			if err == nil && sig.Kind == Filesystem && (sb.damage != "" || sb.foreign != "" || sb.size > size) {
				t.Fatalf("%+v passes for a file system: %+v", sb, sig)
			}
			if sig.Kind == Other && sig.Detail == "" {
				t.Fatalf("no reason is said for %+v", sb)
			}
		}
	})
}
