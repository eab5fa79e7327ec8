package host_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/flocker-mesos/flocker/host"
)

func TestEraIsAUUIDThatStays(t *testing.T) {
	first, err := host.Era()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(first); err != nil {
		t.Errorf("era %q: %v", first, err)
	}
	second, err := host.Era()
	if err != nil || second != first {
		t.Errorf("second call: got %q, %v, want %q", second, err, first)
	}
}
