package isolator

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSentencesThatDifferInNumbersAloneAreOne(t *testing.T) {
	const waits = "Dataset a.b2 is mounted on node2 (10.0.0.12) since 2026-11-21T10:49:02Z (1s). Waiting, for 8s at the most."
	for other, same := range map[string]bool{
		strings.ReplaceAll(waits, "(1s)", "(1m5.2s)"):      true,
		strings.ReplaceAll(waits, "8s", "1m50s"):           true,
		strings.ReplaceAll(waits, "10:49", "11:00"):        true,
		strings.ReplaceAll(waits, "node2", "node3"):        false,
		strings.ReplaceAll(waits, "a.b2", "a.b3"):          false,
		strings.ReplaceAll(waits, "mounted", "attached"):   false,
		"the flocker agent does not answer on /run/a.sock": false,
	} {
		if got := gistOf(waits) == gistOf(other); got != same {
			t.Errorf("%q: got %v, want %v", other, got, same)
		}
	}
}

func TestSpeakerRepeatsAReasonSeldomAndTellsANewOneAtOnce(t *testing.T) {
	var log bytes.Buffer
	s := &speaker{log: &log, prefix: "dvdcli:", again: time.Hour}
	for _, text := range []string{"waits (1s)", "waits (2s)", "waits (3s)", "attaches", "attaches", "waits (9s)"} {
		s.say(text)
	}
	if want := "dvdcli: waits (1s)\ndvdcli: attaches\ndvdcli: waits (9s)\n"; log.String() != want {
		t.Errorf("got %q, want %q", log.String(), want)
	}
	s.again = 0
	s.say("waits (10s)")
	if !strings.HasSuffix(log.String(), "(10s)\n") {
		t.Errorf("a reason whose time has come is not repeated: %q", log.String())
	}
}
