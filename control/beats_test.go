package control

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestBeatsAreReadAfterTheHello(t *testing.T) {
	hello, b, err := readHello(strings.NewReader("{\"hostname\":\"a\"}\n{\"beat\":1}\n{\"beat\":2,\"more\":true}\n{\"beat\":3}\n"))
	if err != nil || hello.Hostname != "a" {
		t.Fatalf("got %+v, %v", hello, err)
	}
	heard := 0
	b.read(func() { heard++ })
	if err := <-b.failed; !errors.Is(err, io.EOF) || heard != 3 || b.newest.Load() != 3 {
		t.Errorf("got %d beats, the newest %d, then %v, want 3, 3, EOF", heard, b.newest.Load(), err)
	}
}

func TestHelloWithoutAnythingBehindIt(t *testing.T) {
	hello, _, err := readHello(strings.NewReader(`{"hostname":"a"}`))
	if err != nil || hello.Hostname != "a" {
		t.Errorf("got %+v, %v", hello, err)
	}
}

func TestLinesThatAreTooLongEndTheStream(t *testing.T) {
	if _, _, err := readHello(strings.NewReader(strings.Repeat("x", maxHello+1))); api.CodeOf(err) != api.CodeInvalid {
		t.Errorf("hello: got %v", err)
	}
	_, b, err := readHello(strings.NewReader("{}\n{\"beat\":1" + strings.Repeat(" ", maxBeat) + "}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b.read(func() { t.Error("heard a beat") })
	if err := <-b.failed; err == nil {
		t.Error("got no error")
	}
}

func TestBeatLeavesNoGarbage(t *testing.T) {
	line, out := []byte("{\"beat\":1234567}\n"), make([]byte, 0, maxBeat)
	if got := testing.AllocsPerRun(100, func() {
		n, err := parseBeat(line)
		if err != nil || n != 1234567 || string(appendBeat(out, n)) != string(line) {
			t.Fatalf("got %d, %v", n, err)
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
	if got := testing.AllocsPerRun(100, func() {
		if string(appendAnswer(out, 12, 345)) != "{\"beat\":12,\"revision\":345}\n" {
			t.Fatal("the answer is another one")
		}
	}); got > 0 {
		t.Errorf("an answer: %v allocations", got)
	}
}

func FuzzParseBeat(f *testing.F) {
	for _, seed := range []string{`{"beat":1}`, `{"beat":18446744073709551615}`, `{"beat":-1}`, `{"beat":}`, `{}`, `[]`, `{"beat":1e3}`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseBeat([]byte(text + "\n"))
		var want struct {
			Beat uint64 `json:"beat"`
		}
		wantErr := json.Unmarshal([]byte(text+"\n"), &want)
		if wantErr == nil && (err != nil || got != want.Beat) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want.Beat)
		}
	})
}
