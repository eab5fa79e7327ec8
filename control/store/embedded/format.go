package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// errUnreadable is what is wrong with a damaged file.
var errUnreadable = errors.New("unreadable")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum of key and value before a value: bbolt has none for its
// data pages.
func seal(key, value []byte) []byte {
	sealed := make([]byte, 4, 4+len(value))
	binary.BigEndian.PutUint32(sealed, checksum(key, value))
	return append(sealed, value...)
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// open returns a copy of the value that is sealed under a key.
func open(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("%w: %d bytes are too few", errUnreadable, len(sealed))
	}
	value := append([]byte(nil), sealed[4:]...)
	if got, want := checksum(key, value), binary.BigEndian.Uint32(sealed); got != want {
		return nil, fmt.Errorf("%w: the checksum is %08x, not %08x", errUnreadable, got, want)
	}
	return value, nil
}

// head is where the log stands.
type head struct {
	revision uint64
	records  uint64 // how many there are
	base     uint64 // the revision that the log was restored at, 0 where it never was
}

func readHead(tx *bbolt.Tx) (head, error) {
	for _, name := range [][]byte{bucketHead, bucketRecords, bucketCommits} {
		if tx.Bucket(name) == nil {
			return head{}, fmt.Errorf("%w: there is no bucket %s", errUnreadable, name)
		}
	}
	value, err := open(keyHead, tx.Bucket(bucketHead).Get(keyHead))
	if err != nil {
		return head{}, fmt.Errorf("head: %w", err)
	}
	h := head{}
	switch len(value) {
	case 24:
		h.base = binary.BigEndian.Uint64(value[16:])
	case 16:
	default:
		return head{}, fmt.Errorf("head: %w: %d bytes, want 16 or 24", errUnreadable, len(value))
	}
	h.revision, h.records = binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])
	if h.base > h.revision {
		return head{}, fmt.Errorf("head: %w: it was restored at revision %d and is at %d", errUnreadable, h.base, h.revision)
	}
	return h, nil
}

func writeHead(tx *bbolt.Tx, h head) error {
	value := binary.BigEndian.AppendUint64(revisionKey(h.revision), h.records)
	if h.base > 0 {
		value = binary.BigEndian.AppendUint64(value, h.base)
	}
	if err := tx.Bucket(bucketHead).Put(keyHead, seal(keyHead, value)); err != nil {
		return fmt.Errorf("put head: %w", err)
	}
	return nil
}

// commit is what is kept of each of the last commits.
type commit struct {
	ID   string   `json:"id"`
	Keys []string `json:"keys"`
}

// writeCommit keeps a commit in mind and forgets the one that is too old.
func writeCommit(tx *bbolt.Tx, revision uint64, c commit) error {
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	commits, key := tx.Bucket(bucketCommits), revisionKey(revision)
	if err := commits.Put(key, seal(key, value)); err != nil {
		return fmt.Errorf("put commit: %w", err)
	}
	if revision <= history {
		return nil
	}
	if err := commits.Delete(revisionKey(revision - history)); err != nil {
		return fmt.Errorf("forget commit: %w", err)
	}
	return nil
}

// commitsBackFrom yields the last commits, newest first. It ends at one that
// cannot be read; check has found those when the file was opened.
func commitsBackFrom(tx *bbolt.Tx, revision uint64) iter.Seq2[uint64, commit] {
	return func(yield func(uint64, commit) bool) {
		for ; revision > 0; revision-- {
			key := revisionKey(revision)
			value, err := open(key, tx.Bucket(bucketCommits).Get(key))
			if err != nil {
				return
			}
			var c commit
			if err := json.Unmarshal(value, &c); err != nil || !yield(revision, c) {
				return
			}
		}
	}
}

// check reads everything and reports what is not as it was committed.
func check(tx *bbolt.Tx, fileSize int64) error {
	if want := tx.Size(); fileSize < want {
		return fmt.Errorf("%w: it has %d bytes, less than the %d that were written", errUnreadable, fileSize, want)
	}
	h, err := readHead(tx)
	if err != nil {
		return err
	}
	var records uint64
	err = tx.Bucket(bucketRecords).ForEach(func(key, sealed []byte) error {
		records++
		if _, err := open(key, sealed); err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if records != h.records {
		return fmt.Errorf("%w: it has %d records, not the %d that were written", errUnreadable, records, h.records)
	}
	var kept uint64
	for range commitsBackFrom(tx, h.revision) {
		kept++
	}
	if want := min(h.revision-h.base, history); kept != want {
		return fmt.Errorf("%w: it remembers %d commits, not %d", errUnreadable, kept, want)
	}
	return nil
}

// guarded turns into errUnreadable what bbolt does when it meets a damaged
// file: it panics, or reads behind the end of the file, which is mapped.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, p)
		}
	}()
	return f()
}
