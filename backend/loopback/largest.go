package loopback

import "golang.org/x/sys/unix"

// largest returns the size of the largest image that the file system of the root can
// hold, in bytes, sparse as images are; 0 where that cannot be found out.
func (r *root) largest() int64 {
	fd, err := unix.Open(r.unattached(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	// A file's offset cannot be set beyond its largest size.
	var fits, beyond int64 = 0, 1<<63 - 1
	for beyond-fits > 1 {
		size := fits + (beyond-fits)/2
		if _, err := unix.Seek(fd, size, unix.SEEK_SET); err == nil {
			fits = size
		} else {
			beyond = size
		}
	}
	return fits
}
