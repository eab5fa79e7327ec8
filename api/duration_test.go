package api_test

import (
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

func TestDurationsAreWrittenAsTheyAreRead(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "45s": 45 * time.Second, "2m": 2 * time.Minute, "2m5s": 125 * time.Second, "10m": 10 * time.Minute,
		"720h": 720 * time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "-2m": -2 * time.Minute, "250ms": 250 * time.Millisecond,
	} {
		got := api.FormatDuration(d)
		if back, err := time.ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("%v: got %q, which is %v, %v; want %q", d, got, back, err, want)
		}
	}
}
