package host

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A file system must not depend on the machine that makes it. So every property
// that a configuration file, an environment variable or the version of mke2fs or
// mkfs.xfs would decide on is given here. Linux 5.10 mounts what is made: newer
// features are left out.

// mke2fsConfig takes the place of /etc/mke2fs.conf.
const mke2fsConfig = `[defaults]
	base_features = none
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = 4096
	inode_size = 256
	reserved_ratio = 0
	hash_alg = half_md4
[fs_types]
	ext4 = {
		features = none
	}
`

// e2fsckConfig takes the place of /etc/e2fsck.conf.
const e2fsckConfig = `[options]
`

const ext4InodeSize = 256

// ext4Features are all features of an ext4, beside none.
const ext4Features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,64bit,metadata_csum," +
	"metadata_csum_seed,sparse_super,large_file,huge_file,dir_nlink,extra_isize"

// makeExt4 runs mke2fs for a device of a size in bytes at path. files are its
// file descriptors from 3 on. There is nothing to discard on a blank device, and
// inode tables and journal are left to the kernel, which fills them when there is
// time. No blocks are reserved for root, since tasks run as other users. A file
// system in which the kernel finds an error becomes read-only.
func makeExt4(ctx context.Context, path string, size int64, files ...*os.File) error {
	config, err := configFile("mke2fs.conf", mke2fsConfig)
	if err != nil {
		return err
	}
	defer config.Close()
	files = append(files, config)
	return program{
		name: "mke2fs",
		args: []string{
			"-q", "-F", "-t", "ext4", "-T", "default", "-o", "Linux", "-O", ext4Features,
			"-b", strconv.Itoa(ext4Block), "-I", strconv.Itoa(ext4InodeSize), "-i", strconv.FormatInt(ext4InodeRatio(size), 10), "-G", "16",
			"-J", "size=" + strconv.FormatInt(ext4Journal(size)>>20, 10), "-m", "0", "-e", "remount-ro",
			"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", path,
		},
		env: []string{
			"MKE2FS_CONFIG=/proc/self/fd/" + strconv.Itoa(2+len(files)),
			// Zeros must be written, not punched, or they would be missing in
			// what is copied from an image.
			"UNIX_IO_NOZEROOUT=1",
		},
		files: files,
	}.run(ctx)
}

// ext4InodeRatio returns for how many bytes of a file system there is an inode.
func ext4InodeRatio(size int64) int64 {
	switch {
	case size < 512<<20:
		return 4 << 10
	case size < 4<<40:
		return 16 << 10
	case size < 16<<40:
		return 32 << 10
	}
	const maxInodes = 1<<32 - 1
	ratio := int64(64 << 10)
	for size/ratio >= maxInodes {
		ratio *= 2
	}
	return ratio
}

// ext4Journal returns the size of the journal in bytes, as mke2fs 1.45 and newer
// would choose it.
func ext4Journal(size int64) int64 {
	for _, step := range []struct{ below, journal int64 }{
		{128 << 20, 4 << 20}, {1 << 30, 16 << 20}, {2 << 30, 32 << 20}, {16 << 30, 64 << 20}, {32 << 30, 128 << 20},
		{64 << 30, 256 << 20}, {128 << 30, 512 << 20},
	} {
		if size < step.below {
			return step.journal
		}
	}
	return 1 << 30
}

// xfsLaterOptions are options that xfsprogs got after the oldest release that can
// be used, and that newer releases may turn on. An xfsprogs that does not know
// an option makes file systems without it.
var xfsLaterOptions = []struct{ flag, option string }{
	{"-m", "bigtime"}, {"-m", "inobtcount"}, // Linux 5.10 calls them experimental
	{"-i", "nrext64"}, {"-i", "exchange"}, {"-n", "parent"}, {"-m", "metadir"},
}

// makeXFS runs mkfs.xfs for a device of a size in bytes at path. Features are
// those that the developers of XFS recommend for Linux 5.10 (lts_5.10.conf of
// xfsprogs). Sectors of 4096 bytes fit devices of 512 and of 4096.
func makeXFS(ctx context.Context, path string, size int64, root Owner) error {
	args := []string{
		"-q", "-K", "-b", "size=4096", "-s", "size=4096", "-m", "crc=1,finobt=1,rmapbt=0,reflink=1",
		"-d", "noalign,agcount=" + strconv.FormatInt(xfsGroups(size), 10),
		"-i", "size=512,sparse=1,maxpct=" + strconv.FormatInt(xfsInodePercent(size), 10),
		"-l", "internal=1,su=4096,size=" + strconv.FormatInt(xfsLog(size), 10), "-n", "size=4096,ftype=1",
	}
	// Without arguments it writes how it is used, and fails.
	usage, err := program{name: "mkfs.xfs"}.output(ctx)
	if !strings.Contains(usage, "reflink=") {
		return fmt.Errorf("look for the options of mkfs.xfs: xfsprogs 4.17 or newer is needed: %w", err)
	}
	for _, later := range xfsLaterOptions {
		if strings.Contains(usage, later.option+"=") {
			args = append(args, later.flag, later.option+"=0")
		}
	}
	prototype, err := configFile("prototype of a file system", root.xfsPrototype())
	if err != nil {
		return err
	}
	defer prototype.Close()
	args = append(args, "-p", "/proc/self/fd/3", path)
	return program{name: "mkfs.xfs", args: args, files: []*os.File{prototype}}.run(ctx)
}

// xfsGroups returns the number of allocation groups: at most 1 TiB each, less a
// block.
func xfsGroups(size int64) int64 {
	const largest = 1<<40 - 4096
	if size < 4<<40 {
		return 4
	}
	return (size + largest - 1) / largest
}

// xfsLog returns the size of the log in bytes.
func xfsLog(size int64) int64 {
	const least, most = 64 << 20, 2038 << 20
	return min(max(size/2048&^(ext4Block-1), least), most)
}

// xfsInodePercent returns how much of a file system inodes may take.
func xfsInodePercent(size int64) int64 {
	switch {
	case size < 1<<40:
		return 25
	case size < 50<<40:
		return 5
	default:
		return 1
	}
}

// configFile returns an open file in memory with a text.
func configFile(name, text string) (*os.File, error) {
	f, err := newMemoryFile(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return f, nil
}
