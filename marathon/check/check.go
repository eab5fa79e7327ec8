package check

import (
	"fmt"
	"slices"
)

// Check returns what is found about the definitions of documents, in their order,
// and before that what concerns all of them.
func Check(documents []*Document, c *Context) []Finding {
	var all []*workload
	var findings []Finding
	for _, d := range documents {
		for _, definition := range d.Definitions {
			all = append(all, definition.workload())
		}
	}
	findings = checkCluster(all, c)
	shared := newSharing(all, c.Running)
	for _, w := range all {
		findings = append(findings, w.check(c, shared)...)
	}
	return findings
}

// check applies all rules to one app or pod.
func (w *workload) check(c *Context, shared *sharing) []Finding {
	var findings []Finding
	for _, r := range Rules() {
		if r.look == nil || w.unread != nil && !r.always {
			continue
		}
		r.look(&probe{workload: w, context: c, sharing: shared, rule: r, severity: r.Severity, findings: &findings})
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
	return findings
}

func rank(s Severity) int { return slices.Index([]Severity{Error, Warning, Note}, s) }

// probe is a rule that looks at a workload.
type probe struct {
	*workload

	context  *Context
	sharing  *sharing
	rule     *Rule
	severity Severity
	findings *[]Finding
}

// as returns the probe with another severity.
func (p *probe) as(s Severity) *probe {
	other := *p
	other.severity = s
	return &other
}

// remedy is what to do: by hand, or by a patch.
type remedy struct {
	text  string // "" for the rule's
	patch Patch
}

// find notes a finding about the setting at a pointer.
func (p *probe) find(at string, r remedy, what string, args ...any) {
	f := Finding{
		App: p.ID, Source: p.doc.Source, Severity: p.severity, Rule: p.rule.ID, Path: at, What: fmt.Sprintf(what, args...),
		Why: p.rule.Why, Fix: r.text, Patch: r.patch,
	}
	if f.Fix == "" {
		f.Fix = p.rule.Fix
	}
	if f.Source != "" {
		f.Line, f.Column = p.line(at)
	}
	*p.findings = append(*p.findings, f)
}
