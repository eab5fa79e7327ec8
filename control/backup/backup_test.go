package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/control/backup"
	"github.com/flocker-mesos/flocker/control/store"
)

func sample() backup.Backup {
	return backup.Backup{
		Header: backup.Header{
			Cluster: "0c0ffee0-1111-4222-8333-444455556666", Revision: 17, Taken: time.Date(2026, 11, 25, 7, 0, 0, 5, time.UTC),
			Log: "file:/var/lib/flocker/control", Program: "1.2.3",
		},
		Records: []store.Record{
			{Key: "meta", Value: []byte(`{"schema":2,"record":{"cluster":"c"}}`)},
			{Key: "datasets/a", Value: []byte(`{"schema":2,"record":{"metadata":{"name":"\u003ca\u0026b> é"}}}`)},
		},
	}
}

func text(t testing.TB, b backup.Backup) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := backup.Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsReadByteForByte(t *testing.T) {
	want := sample()
	got, err := backup.Read(bytes.NewReader(text(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Cluster != want.Cluster || got.Revision != want.Revision || !got.Taken.Equal(want.Taken) || got.Log != want.Log || got.Program != want.Program {
		t.Errorf("header: got %+v, want %+v", got.Header, want.Header)
	}
	if len(got.Records) != 2 || got.Records[0].Key != "datasets/a" || got.Records[1].Key != "meta" ||
		!bytes.Equal(got.Records[0].Value, want.Records[1].Value) || !bytes.Equal(got.Records[1].Value, want.Records[0].Value) {
		t.Errorf("got records %q, want %q in the order of their keys", got.Records, want.Records)
	}
	if again := text(t, got); !bytes.Equal(again, text(t, want)) {
		t.Errorf("written again: got %s", again)
	}
}

func TestBackupIsLinesThatPeopleCanRead(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(string(text(t, sample())), "\n"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], `{"format":"flocker-backup","version":1,"cluster":"0c0ffee0-`) ||
		lines[2] != `{"key":"meta","value":{"schema":2,"record":{"cluster":"c"}}}` || !strings.HasPrefix(lines[3], `{"end":"flocker-backup","records":2,"sha256":"`) {
		t.Errorf("got %s", strings.Join(lines, "\n"))
	}
}

func TestBackupThatIsCutShortIsRefused(t *testing.T) {
	whole := text(t, sample())
	for size := range whole {
		_, err := backup.Read(bytes.NewReader(whole[:size]))
		if unsound, ok := errors.AsType[*backup.UnsoundError](err); !ok || unsound.Line == 0 {
			t.Fatalf("%d of %d bytes: got %v, want it refused with the line", size, len(whole), err)
		}
	}
}

func TestAlteredBackupIsRefused(t *testing.T) {
	whole := text(t, sample())
	for at := range whole {
		for _, change := range []byte{1, 32, 128} {
			altered := bytes.Clone(whole)
			altered[at] ^= change
			if got, err := backup.Read(bytes.NewReader(altered)); err == nil {
				t.Fatalf("byte %d of %q altered by %d: it was read as %+v", at, whole, change, got)
			}
		}
	}
}

func TestWhatIsNoBackupIsRefused(t *testing.T) {
	whole := string(text(t, sample()))
	lines := strings.SplitAfter(whole, "\n")
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "line 1 is cut short"},
		"something else":       {"{}\n", "line 1 does not begin a file"},
		"no JSON":              {"flocker\n", "line 1 does not begin a file"},
		"of a newer version":   {strings.Replace(whole, `"version":1`, `"version":2,"more":1`, 1), "newer version"},
		"without a record":     {lines[0] + lines[1] + lines[3], "line 3 is no record"},
		"with a record twice":  {lines[0] + lines[1] + lines[1] + lines[3], "line 3 has the record"},
		"in another order":     {lines[0] + lines[2] + lines[1] + lines[3], "line 3 has the record"},
		"with a third record":  {lines[0] + lines[1] + lines[2] + lines[2] + lines[3], "line 4 is not the end"},
		"with more at the end": {whole + "\n", "line 5 comes after the end"},
		"with a longer line":   {lines[0] + strings.Repeat("x", 9<<20), "line 2 is longer"},
		"with unknown parts":   {strings.Replace(whole, `{"key":`, `{"more":1,"key":`, 1), "line 2 is no record"},
		"without a cluster":    {strings.Replace(whole, `"cluster":"0c0ffee0-1111-4222-8333-444455556666"`, `"cluster":""`, 1), "line 1 is no header"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := backup.Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatIsNoJSONIsNotWritten(t *testing.T) {
	b := sample()
	b.Records[1].Value = []byte("{")
	if err := backup.Write(&bytes.Buffer{}, b); err == nil || !strings.Contains(err.Error(), "record datasets/a") {
		t.Errorf("got %v, want it refused with the record", err)
	}
}

// failing is a disk that is full after some bytes.
type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestFailureToWriteIsReported(t *testing.T) {
	b := sample()
	for i := range 2000 {
		b.Records = append(b.Records, store.Record{Key: fmt.Sprintf("datasets/%04d", i), Value: []byte(`{"schema":2,"record":{"filling":"filling"}}`)})
	}
	size := len(text(t, b))
	for _, room := range []int{0, 1 << 10, 100 << 10, size - 1} {
		if err := backup.Write(&failing{room}, b); err == nil {
			t.Errorf("room for %d of %d bytes: got no error", room, size)
		}
	}
	if err := backup.Write(&failing{size}, b); err != nil {
		t.Errorf("with room for all: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(text(f, sample()))
	f.Add([]byte("{\"format\":\"flocker-backup\",\"version\":1,\"cluster\":\"c\",\"revision\":1,\"records\":99999999}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := backup.Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		again, err := backup.Read(bytes.NewReader(text(t, b)))
		if err != nil || len(again.Records) != len(b.Records) {
			t.Errorf("what was read of %q cannot be written and read again: %v", in, err)
		}
	})
}
