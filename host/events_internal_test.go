package host

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"
)

// A write after the close would go to the next file that gets the number.
func TestEndOfAContextIsNotWrittenAfterItsClose(t *testing.T) {
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		fd, closeEnd, err := endOf(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := unix.Dup(fd) // shows what was written when fd is closed
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		closeEnd()
		_, err = unix.Read(seen, make([]byte, 8))
		_ = unix.Close(seen)
		if err != nil {
			t.Fatalf("closed before the write: %v", err)
		}
	}
}
