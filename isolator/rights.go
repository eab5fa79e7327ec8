package isolator

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// rightsReader reads a stream together with the descriptors that come with it.
type rightsReader struct {
	conn  *os.File
	files []*os.File
	oob   []byte
}

func newRightsReader(conn *os.File) *rightsReader {
	const most = 253 // the kernel's limit, SCM_MAX_FD
	return &rightsReader{conn: conn, oob: make([]byte, unix.CmsgSpace(most*4))}
}

// Read is io.Reader's.
func (r *rightsReader) Read(p []byte) (int, error) {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n, oobn, flags int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		n, oobn, flags, _, failure = unix.Recvmsg(int(fd), p, r.oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(failure, unix.EAGAIN) && !errors.Is(failure, unix.EINTR)
	})
	if err := errors.Join(err, failure); err != nil {
		return 0, err
	}
	if err := r.take(r.oob[:oobn]); err != nil {
		return 0, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return 0, errors.New("read answer: a descriptor was lost; this process may have too many open files")
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *rightsReader) take(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("read descriptors: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // of another kind
		}
		for _, fd := range fds {
			r.files = append(r.files, os.NewFile(uintptr(fd), "volume"))
		}
	}
	return nil
}

func (r *rightsReader) close() {
	for _, f := range r.files {
		_ = f.Close()
	}
}
