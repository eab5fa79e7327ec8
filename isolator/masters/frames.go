package masters

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

const (
	// maxLength bounds the digits of a frame's length.
	maxLength = 20
	// keepBuffer is the largest buffer that is kept from one frame to the next.
	keepBuffer = 1 << 20
)

// frames reads a stream of RecordIO: each record after its length, written in
// decimal on a line of its own.
type frames struct {
	r     *bufio.Reader
	limit int64 // of a record, in bytes
	buf   bytes.Buffer
}

func newFrames(r io.Reader, limit int64) *frames {
	return &frames{r: bufio.NewReader(r), limit: limit}
}

// next returns the next record, which is valid until the next call. The error is
// io.EOF where the stream ends between two records. Memory is taken as the
// record arrives, and not because of the length that somebody claims.
func (f *frames) next() ([]byte, error) {
	length, err := f.length()
	if err != nil {
		return nil, err
	}
	if length > f.limit {
		return nil, fmt.Errorf("a record of the stream has %d bytes, more than the %d that are allowed", length, f.limit)
	}
	if f.buf.Cap() > keepBuffer {
		f.buf = bytes.Buffer{}
	}
	f.buf.Reset()
	if _, err := io.CopyN(&f.buf, f.r, length); err != nil {
		if err == io.EOF { //nolint:errorlint // CopyN returns the reader's own
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read a record of the stream: %w", err)
	}
	return f.buf.Bytes(), nil
}

// length reads the line before a record.
func (f *frames) length() (int64, error) {
	var digits []byte
	for {
		b, err := f.r.ReadByte()
		switch {
		case err == io.EOF && len(digits) == 0:
			return 0, io.EOF
		case err == io.EOF:
			return 0, fmt.Errorf("read the length of a record: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return 0, fmt.Errorf("read the length of a record: %w", err)
		case b == '\n':
			n, err := strconv.ParseUint(string(digits), 10, 63)
			if err != nil {
				return 0, fmt.Errorf("read the length of a record: %q is not a number of bytes", digits)
			}
			return int64(n), nil
		case len(digits) == maxLength:
			return 0, fmt.Errorf("read the length of a record: %q goes on", digits)
		}
		digits = append(digits, b)
	}
}
