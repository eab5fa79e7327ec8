package backup

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/flocker-mesos/flocker/control/store"
)

// Write writes a backup. It fills in the header's format, version and count.
func Write(w io.Writer, b Backup) error {
	b.Format, b.Version, b.Count = format, version, len(b.Records)
	b.Taken = b.Taken.UTC()
	records := slices.SortedFunc(slices.Values(b.Records), func(a, b store.Record) int { return cmp.Compare(a.Key, b.Key) })
	sum := sha256.New()
	buffer := bufio.NewWriterSize(w, 64<<10)
	summed := io.MultiWriter(buffer, sum)
	if err := writeLine(summed, b.Header); err != nil {
		return err
	}
	for _, r := range records {
		if err := writeLine(summed, line{Key: r.Key, Value: r.Value}); err != nil {
			return fmt.Errorf("record %s: %w", r.Key, err)
		}
	}
	if err := writeLine(buffer, trailer{End: format, Count: b.Count, Sum: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

func writeLine(w io.Writer, what any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // values stay as they are
	if err := e.Encode(what); err != nil {
		return fmt.Errorf("encode backup: %w", err)
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}
