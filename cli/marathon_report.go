package cli

import (
	"fmt"
	"strings"

	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/marathon/check"
)

// report shows what was found. It fails where that is bad enough.
func (c *checking) report(documents []*check.Document, findings []check.Finding) error {
	names := make([]string, 0, len(findings))
	for _, f := range findings {
		names = append(names, f.App+" "+f.Rule)
	}
	if findings == nil {
		findings = []check.Finding{} // an empty list for programs
	}
	if c.Machine() {
		if err := c.List(findings, output.NewTable(), names); err != nil {
			return err
		}
	} else {
		c.describe(documents, findings)
	}
	errs, warnings := check.Count(findings, check.Error), check.Count(findings, check.Warning)
	if errs > 0 || c.strict && warnings > 0 {
		return fmt.Errorf("found %s", counts(findings))
	}
	return nil
}

func (c *checking) describe(documents []*check.Document, findings []check.Finding) {
	definitions := 0
	for _, d := range documents {
		definitions += len(d.Definitions)
	}
	fixable := 0
	for _, f := range findings {
		describeFinding(c.Printer, f)
		c.Space()
		if len(f.Patch) > 0 {
			fixable++
		}
	}
	checked := fmt.Sprintf("%s checked", count(definitions, "definition"))
	switch {
	case len(findings) == 0:
		c.Linef("%s: nothing found.", checked)
	case fixable > 0 && !c.all:
		left := ""
		if n := len(findings) - fixable; n > 0 {
			left = fmt.Sprintf("; your decision is needed for %d", n)
		}
		c.Linef("%s: %s. `flocker marathon fix` fixes %d of them%s.", checked, counts(findings), fixable, left)
	default:
		c.Linef("%s: %s.", checked, counts(findings))
	}
}

// describeFinding shows one finding as a person reads it: where, what, why, and what
// to do.
func describeFinding(p *output.Printer, f check.Finding) {
	where := "Mesos and Marathon"
	if f.App != "" {
		where = f.App
	}
	if f.Path != "" {
		where += " " + f.Path
	}
	if f.Source != "" {
		where = fmt.Sprintf("%s:%d:%d %s", f.Source, f.Line, f.Column, where)
	}
	p.Linef("%s", where)
	p.Colored(string(f.Severity), severityColor(f.Severity), f.Rule)
	p.Field("What", "%s", f.What)
	p.Field("Why", "%s", f.Why)
	fix := f.Fix
	if len(f.Patch) > 0 {
		fix += " (flocker marathon fix does this)"
	}
	p.Field("Fix", "%s", fix)
}

func severityColor(s check.Severity) output.Color {
	switch s {
	case check.Error:
		return output.Red
	case check.Warning:
		return output.Yellow
	case check.Note:
		return output.Faint
	}
	return output.Plain
}

// counts says how many findings there are: "1 error, 2 warnings".
func counts(findings []check.Finding) string {
	var parts []string
	for _, s := range []check.Severity{check.Error, check.Warning, check.Note} {
		if n := check.Count(findings, s); n > 0 {
			parts = append(parts, count(n, string(s)))
		}
	}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
