package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/flocker-mesos/flocker/control/store"
)

// Read reads a whole backup. An error is an *UnsoundError, or why it could not be
// read.
func Read(r io.Reader) (Backup, error) {
	in := &reader{lines: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	b, err := in.read()
	if err != nil {
		return Backup{}, err
	}
	return b, nil
}

// reader is a file that is being read.
type reader struct {
	lines *bufio.Reader
	at    int // line
	sum   hash.Hash
}

func (r *reader) unsound(format string, args ...any) error {
	return &UnsoundError{Line: r.at, What: fmt.Sprintf(format, args...)}
}

func (r *reader) read() (Backup, error) {
	header, err := r.header()
	if err != nil {
		return Backup{}, err
	}
	b := Backup{Header: header}
	last := ""
	for range header.Count {
		text, err := r.next()
		if err != nil {
			return Backup{}, err
		}
		var record line
		if err := strict(text, &record); err != nil {
			return Backup{}, r.unsound("is no record: %v", err)
		}
		if record.Key <= last || len(record.Value) == 0 {
			return Backup{}, r.unsound("has the record %q after %q, without a value or out of order", record.Key, last)
		}
		last = record.Key
		r.sum.Write(text)
		b.Records = append(b.Records, store.Record{Key: record.Key, Value: bytes.Clone(record.Value)})
	}
	return b, r.end(header.Count)
}

func (r *reader) header() (Header, error) {
	text, err := r.next()
	if err != nil {
		return Header{}, err
	}
	// A newer version may have more in its header, so this comes first.
	var what struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &what); err != nil || what.Format != format {
		return Header{}, r.unsound("does not begin a file that flocker control backup has written")
	}
	if what.Version > version {
		return Header{}, fmt.Errorf("the backup was written by a newer version of this program (format version %d, this one knows %d)", what.Version, version)
	}
	var h Header
	if err := strict(text, &h); err != nil {
		return Header{}, r.unsound("is no header: %v", err)
	}
	if h.Version < 1 || h.Count < 0 || h.Cluster == "" || h.Revision == 0 {
		return Header{}, r.unsound("is no header: version %d, cluster %q, revision %d, %d records", h.Version, h.Cluster, h.Revision, h.Count)
	}
	r.sum.Write(text)
	return h, nil
}

// end reads the last line, and that there is nothing after it.
func (r *reader) end(count int) error {
	text, err := r.next()
	if err != nil {
		return err
	}
	var t trailer
	if err := strict(text, &t); err != nil || t.End != format {
		return r.unsound("is not the end, after the %d records that the header tells of", count)
	}
	want := trailer{End: format, Count: count, Sum: hex.EncodeToString(r.sum.Sum(nil))}
	var exact bytes.Buffer
	if err := writeLine(&exact, want); err != nil {
		return err
	}
	if !bytes.Equal(text, exact.Bytes()) {
		return &UnsoundError{What: fmt.Sprintf("it was altered: it has the checksum %s, not %s", want.Sum, t.Sum)}
	}
	switch _, err := r.lines.ReadByte(); {
	case err == nil:
		r.at++
		return r.unsound("comes after the end")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read backup: %w", err)
	}
	return nil
}

// next returns the next line, with its end.
func (r *reader) next() ([]byte, error) {
	r.at++
	var text []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case err == nil:
			return text, nil
		case errors.Is(err, io.EOF):
			return nil, r.unsound("is cut short, or missing")
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read backup: %w", err)
		case len(text) > maxLine:
			return nil, r.unsound("is longer than %d bytes", maxLine)
		}
	}
}

// strict decodes a line in which all is known.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it has something after its end")
	}
	return nil
}
