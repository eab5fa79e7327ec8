package isolator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level says how bad a finding is.
type Level string

// The levels. Only a failure makes the doctor's exit code 1.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "FAIL"
)

// Finding is one line of the doctor's report.
type Finding struct {
	Level   Level
	Subject string
	Text    string // what was found and, unless all is well, what to change
}

// Doctor finds out why containers of this machine get no volumes.
type Doctor struct {
	Socket      string
	Version     string // of this program
	Program     string // absolute path of this program
	ModulesFile string // "": what the Mesos agent's flags say
	MesosPID    int    // 0: the first Mesos agent that is found
	Marathon    string // its URL, "" where it is not to be asked
	Proc        string // where proc is mounted
}

// statusTimeout bounds the question to the agent, the others those that the agent
// passes on.
const (
	statusTimeout   = 3 * time.Second
	marathonTimeout = 5 * time.Second
	mesosTimeout    = 5 * time.Second
)

// Examine gathers the facts of this machine.
func (d *Doctor) Examine(ctx context.Context) *Facts { return d.gather(ctx) }

// Judge returns the findings about gathered facts. It is pure.
func Judge(f *Facts) []Finding {
	return slices.Concat(judgeAgent(f), judgeAsked(f), judgeTimes(f), judgeMesos(f), judgeMarathon(f), judgeModules(f), judgeMounts(f))
}

// Failed reports whether one of the findings is a failure.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fail })
}

// FormatFindings returns a table for people.
func FormatFindings(findings []Finding) string {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Subject))
	}
	var table strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&table, "%-4s  %-*s  %s\n", f.Level, width, f.Subject, f.Text)
	}
	return table.String()
}

func ok(subject, format string, args ...any) Finding {
	return Finding{OK, subject, fmt.Sprintf(format, args...)}
}

func warn(subject, format string, args ...any) Finding {
	return Finding{Warn, subject, fmt.Sprintf(format, args...)}
}

func fail(subject, format string, args ...any) Finding {
	return Finding{Fail, subject, fmt.Sprintf(format, args...)}
}
