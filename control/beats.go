package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/flocker-mesos/flocker/api"
)

// Lines of a stream's request body.
const (
	maxHello = 16 << 10 // bytes of the first line
	maxBeat  = 256      // bytes of every later one
)

// beats are the agent's side of a stream: its Hello, and then a beat now and
// then for as long as it lives. A flood of them costs this process no memory,
// and one answer for as many as came in meanwhile.
type beats struct {
	lines  *bufio.Reader
	newest atomic.Uint64
	ready  chan struct{} // holds one token while there is a beat to answer
	failed chan error    // gets why there will be no more
}

// readHello reads the first line of a body, and returns what reads the rest.
func readHello(body io.Reader) (api.Hello, *beats, error) {
	var hello api.Hello
	first := bufio.NewReaderSize(body, maxHello)
	line, err := first.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return hello, nil, api.Errorf(api.CodeInvalid, "the stream's first line has more than %d bytes", maxHello)
	case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
		return hello, nil, api.Errorf(api.CodeInvalid, "the stream's first line could not be read: %v", err)
	}
	if err := json.Unmarshal(line, &hello); err != nil {
		return hello, nil, api.Errorf(api.CodeInvalid, "the stream's first line is not as it should be: %v", err)
	}
	// A small buffer for the life of the stream: there are thousands.
	rest, err := first.Peek(first.Buffered())
	if err != nil {
		return hello, nil, api.Errorf(api.CodeInvalid, "the stream could not be read: %v", err)
	}
	return hello, &beats{
		lines:  bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(rest)), body), maxBeat),
		ready:  make(chan struct{}, 1),
		failed: make(chan error, 1),
	}, nil
}

// read takes in beats until the body ends, and calls heard for each.
func (b *beats) read(heard func()) {
	for {
		line, err := b.lines.ReadSlice('\n')
		if err == nil {
			var n uint64
			if n, err = parseBeat(line); err == nil {
				heard()
				b.newest.Store(n)
				select {
				case b.ready <- struct{}{}:
				default:
				}
				continue
			}
		}
		b.failed <- err
		return
	}
}

var (
	beatPrefix = []byte(`{"beat":`)
	beatSuffix = []byte("}\n")
)

// parseBeat reads a line such as {"beat":17} without leaving garbage. Other
// JSON that has a beat, as a later version may send it, is fine too.
func parseBeat(line []byte) (uint64, error) {
	if rest, ok := bytes.CutPrefix(line, beatPrefix); ok {
		if digits, ok := bytes.CutSuffix(rest, beatSuffix); ok && len(digits) > 0 && len(digits) < 19 {
			var n uint64
			for _, c := range digits {
				if c < '0' || c > '9' {
					return parseAnyBeat(line)
				}
				n = 10*n + uint64(c-'0')
			}
			return n, nil
		}
	}
	return parseAnyBeat(line)
}

func parseAnyBeat(line []byte) (uint64, error) {
	var beat api.Beat
	if err := json.Unmarshal(line, &beat); err != nil {
		return 0, fmt.Errorf("read beat: %w", err)
	}
	return beat.Beat, nil
}

// appendBeat writes a beat as a line.
func appendBeat(to []byte, n uint64) []byte {
	to = append(to, beatPrefix...)
	to = strconv.AppendUint(to, n, 10)
	return append(to, beatSuffix...)
}

// appendAnswer writes the answer to a beat as a line, with how far the log is.
func appendAnswer(to []byte, n, revision uint64) []byte {
	to = append(to, beatPrefix...)
	to = strconv.AppendUint(to, n, 10)
	to = append(to, `,"revision":`...)
	to = strconv.AppendUint(to, revision, 10)
	return append(to, beatSuffix...)
}
