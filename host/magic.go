package host

// magic is how a format that go-blockdevice does not know marks a device.
type magic struct {
	name  string // as blkid(8) has it
	at    int64  // byte offset; negative: from the end of the device
	value string
}

// magics only name what is there, for people. Nothing that is missing here
// passes for blank; it is "unknown data".
var magics = []magic{
	{"linux_raid_member", 0, mdMagic},    // metadata 1.1
	{"linux_raid_member", 4096, mdMagic}, // metadata 1.2
	{"crypto_LUKS", 0, "LUKS\xba\xbe\x00\x01"},
	{"bcache", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
	{"bcachefs", 4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
	{"BitLocker", 3, "-FVE-FS-"},
	{"ntfs", 3, "NTFS    "},
	{"exfat", 3, "EXFAT   "},
	{"apfs", 32, "NXSB"},
	{"f2fs", 1024, "\x10\x20\xf5\xf2"},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0"},
	{"hfsplus", 1024, "H+\x00\x04"},
	{"nilfs2", 1024 + 6, "\x34\x34"},
	{"jfs", 32768, "JFS1"},
	{"reiserfs", 65536 + 52, "ReIsEr"},
	{"gfs2", 65536, "\x01\x16\x19\x70"},
	{"ocfs2", 8192, "OCFSV2"},
	{"udf", 32768 + 2048 + 1, "NSR0"},
	{"stratis", 512 + 4, "!Stra0tis\x86\xff\x02^\x41rh"},
	{"vdo", 0, "dmvdo001"},
	{"DM_integrity", 0, "integrt"},
	{"DM_verity_hash", 0, "verity\x00\x00"},
	{"DM_snapshot_cow", 0, "SnAp"},
	{"oracleasm", 32, "ORCLDISK"},
	{"VMFS_volume_member", 1 << 20, "\x0d\xd0\x01\xc0"},
	{"btrfs", btrfsMirror + 64, "_BHRfS_M"}, // a mirror whose original was wiped
	{"isw_raid_member", -1024, "Intel Raid ISM Cfg Sig. "},
	{"ddf_raid_member", -512, "\xde\x11\xde\x11"},
	{"gpt", 512, "EFI PART"}, // only the backup, or damaged: whole ones are known to the library
	{"gpt", -512, "EFI PART"},
	{"dos", 510, "\x55\xaa"}, // last, for many boot sectors end so
}

const mdMagic = "\xfc\x4e\x2b\xa9"

// mdAtEnd returns where Linux RAID keeps its metadata at the end of a device
// of a size in bytes: version 1.0, and version 0.90.
func mdAtEnd(size int64) [2]magic {
	sectors := size / 512
	return [2]magic{
		{"linux_raid_member", (sectors - 16) &^ 7 * 512, mdMagic},
		{"linux_raid_member", size&^65535 - 65536, mdMagic},
	}
}

// findMagic looks for the marks that lie in what was read at a byte offset of
// a device of a size, and returns the first with its offset.
func findMagic(data []byte, at, size int64) (magic, bool) {
	md := mdAtEnd(size)
	for _, list := range [][]magic{md[:], magics} {
		for _, m := range list {
			if m.at < 0 {
				m.at += size
			}
			from := m.at - at
			if from >= 0 && from+int64(len(m.value)) <= int64(len(data)) &&
				string(data[from:from+int64(len(m.value))]) == m.value {
				return m, true
			}
		}
	}
	return magic{}, false
}
